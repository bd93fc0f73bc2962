//! What the kernel keeps for one end of a connection: which objects, and how each is told in a sample. Pure.

use super::{Reading, Sample, names};
use crate::kernel::proc::{Caches, Object};

/// What there is one object of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Each {
    /// A TCP socket, also one that waits to be accepted.
    Ipv4Socket,
    /// The same over IPv6.
    Ipv6Socket,
    /// A socket that a process holds by a descriptor.
    File,
    /// A descriptor that epoll watches.
    Watched,
    /// A local port that a client's sockets are bound to, at whatever address.
    Port,
    /// A local port and address.
    Source,
}

/// The cache of one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub cache: &'static str,
    pub each: Each,
    /// Every kernel has it. The others are there since some version, or with a security module.
    pub always: bool,
}

/// All that an idle end has (docs/measuring.md). What is there for a moment only, such as `request_sock_TCP`, is not
/// in it.
pub const KINDS: [Kind; 12] = [
    kind("TCP", Each::Ipv4Socket, true),
    // Only where the kernel was started with IPv6.
    kind("TCPv6", Each::Ipv6Socket, false),
    kind("sock_inode_cache", Each::File, true),
    kind("filp", Each::File, true),
    kind("dentry", Each::File, true),
    kind("lsm_inode_cache", Each::File, false),
    kind("lsm_file_cache", Each::File, false),
    kind("eventpoll_epi", Each::Watched, true),
    kind("eventpoll_pwq", Each::Watched, true),
    kind("ep_head", Each::Watched, false),
    kind("tcp_bind_bucket", Each::Port, true),
    kind("tcp_bind2_bucket", Each::Source, false),
];

/// Others that are told, but belong to no side.
const TOLD: [&str; 2] = ["request_sock_TCP", "nf_conntrack"];

const fn kind(cache: &'static str, each: Each, always: bool) -> Kind {
    Kind { cache, each, always }
}

fn level(cache: &str, what: &str) -> String {
    format!("{}{cache}.{what}", names::OBJECT)
}

/// Tells what one object of each kind occupies, and how much of their caches is in use.
pub fn tell(caches: &Caches, reading: &mut Reading) {
    for Kind { cache, .. } in KINDS {
        let Some(Object { size, slab_bytes, per_slab }) = caches.object(cache) else { continue };
        for (what, number) in [("size", size), ("slab_bytes", slab_bytes), ("per_slab", per_slab)] {
            reading.level(level(cache, what), number);
        }
    }
    for name in KINDS.iter().map(|kind| kind.cache).chain(TOLD) {
        let listed = caches.listed_as(name);
        if let Some((listed, bytes)) = listed.and_then(|listed| Some((listed, caches.in_use(listed)?))) {
            reading.level(format!("{}{listed}", names::SLAB), bytes);
        }
    }
}

/// What was told of this kind by the kernel under a node: its own machine's, or this host's.
pub fn told(sample: &Sample, node: &str, cache: &str) -> Option<Object> {
    let number = |what| {
        let name = level(cache, what);
        sample.level(node, &name).or_else(|| sample.level(names::HOST, &name))
    };
    Object::new(number("size")?, number("slab_bytes")?, number("per_slab")?)
}

/// Whether that kernel told of any object at all.
pub fn are_told(sample: &Sample, node: &str) -> bool {
    KINDS.iter().any(|kind| told(sample, node, kind.cache).is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::proc::caches;

    #[test]
    fn what_is_told_is_what_was_read() {
        let Ok(caches) = caches() else { return };
        let mut reading = Reading::default();
        tell(&caches, &mut reading);
        let sample = Sample { places: BTreeMap::from([(names::HOST.to_owned(), reading)]) };
        for kind in KINDS {
            let object = told(&sample, "server", kind.cache);
            assert_eq!(object, caches.object(kind.cache));
            assert!(object.is_some() || !kind.always, "{} is known on this machine", kind.cache);
        }
    }
}
