//! The slab caches under all their names, and what one object of each occupies. Pure.
//!
//! The kernel merges caches of like objects: `/proc/slabinfo` lists such a cache once, under the name that came first,
//! and `/sys/kernel/slab` links every name to the cache it stands for.

use std::collections::BTreeMap;

use super::Slab;

/// One object of a cache. A slab holds so many and nothing else, so its rest belongs to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes of the object alone.
    pub size: u64,
    /// Bytes of a slab, and the objects in it; never 0.
    pub slab_bytes: u64,
    pub per_slab: u64,
}

impl Object {
    /// None: a slab without objects is no slab.
    pub fn new(size: u64, slab_bytes: u64, per_slab: u64) -> Option<Object> {
        (per_slab > 0).then_some(Object { size, slab_bytes, per_slab })
    }

    /// What the object takes from the machine: its part of the slab.
    pub fn footprint(&self) -> f64 {
        self.slab_bytes as f64 / self.per_slab as f64
    }
}

#[derive(Clone, Debug, Default)]
pub struct Caches {
    listed: BTreeMap<String, Slab>,
    /// Each name, and what it stands for; empty where that cannot be known.
    names: BTreeMap<String, String>,
    page: u64,
}

impl Caches {
    pub fn new(listed: BTreeMap<String, Slab>, names: BTreeMap<String, String>, page: u64) -> Caches {
        Caches { listed, names, page }
    }

    /// The name under which the kernel lists this cache. None: it has no such cache, or does not say under which.
    pub fn listed_as(&self, name: &str) -> Option<&str> {
        if let Some((listed, _)) = self.listed.get_key_value(name) {
            return Some(listed);
        }
        let wanted = self.names.get(name)?;
        let same = |listed: &&String| self.names.get(*listed) == Some(wanted);
        self.listed.keys().find(same).map(String::as_str)
    }

    pub fn object(&self, name: &str) -> Option<Object> {
        let slab = self.listed.get(self.listed_as(name)?)?;
        Object::new(slab.objsize, slab.pages_per_slab.saturating_mul(self.page), slab.objs_per_slab)
    }

    /// Bytes of the objects in use in the cache listed under this name: those of all its names together.
    pub fn in_use(&self, listed: &str) -> Option<u64> {
        let slab = self.listed.get(listed)?;
        Some(slab.active_objs.saturating_mul(slab.objsize))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::parse_slabinfo;
    use super::*;

    /// Recorded on Linux 6.18 (x86_64) with 100,000 connections: three of the caches are listed under one name, and
    /// `eventpoll_pwq` under one that has nothing to do with it.
    pub(crate) const MERGED: &str = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
TCP               200109 200109   2368   13    8 : tunables    0    0    0 : slabdata  15393  15393      0
ep_head           200448 200448     16  256    1 : tunables    0    0    0 : slabdata    783    783      0
eventpoll_epi     307008 307008    128   32    1 : tunables    0    0    0 : slabdata   9594   9594      0
sock_inode_cache  200253 200260    832   19    4 : tunables    0    0    0 : slabdata  10540  10540      0
filp              202491 202524    192   21    1 : tunables    0    0    0 : slabdata   9644   9644      0
dentry            364736 364833    192   21    1 : tunables    0    0    0 : slabdata  17373  17373      0
lsm_inode_cache   319556 320128     32  128    1 : tunables    0    0    0 : slabdata   2501   2501      0
lsm_file_cache    202553 202640     24  170    1 : tunables    0    0    0 : slabdata   1192   1192      0
anon_vma_chain    202461 202688     64   64    1 : tunables    0    0    0 : slabdata   3167   3167      0
";

    pub(crate) const LINKS: &str = "\
TCP TCP
sock_inode_cache sock_inode_cache
filp filp
dentry dentry
ep_head :A-0000016
eventpoll_epi :A-0000128
fib6_node :A-0000128
pte_list_desc :A-0000128
tcp_bind2_bucket :A-0000128
tcp_bind_bucket :A-0000128
anon_vma_chain :A-0000064
eventpoll_pwq :A-0000064
fs_cache :A-0000064
lsm_inode_cache :0000032
lsm_file_cache :0000024
";

    /// The same objects on a kernel that was started with `slab_nomerge`, with an older version's caches.
    pub(crate) const UNMERGED: &str = "\
slabinfo - version: 2.1
TCP               200109 200109   2368   13    8 : tunables    0    0    0 : slabdata  15393  15393      0
eventpoll_pwq     100352 100352     72   56    1 : tunables    0    0    0 : slabdata   1792   1792      0
eventpoll_epi     100352 100352    128   32    1 : tunables    0    0    0 : slabdata   3136   3136      0
tcp_bind_bucket     6400   6400     64   64    1 : tunables    0    0    0 : slabdata    100    100      0
sock_inode_cache  200253 200260    832   19    4 : tunables    0    0    0 : slabdata  10540  10540      0
filp              202491 202524    256   16    1 : tunables    0    0    0 : slabdata  12656  12656      0
dentry            364736 364833    192   21    1 : tunables    0    0    0 : slabdata  17373  17373      0
";

    pub(crate) fn caches(slabinfo: &str, links: &str, page: u64) -> Caches {
        let names = links.lines().filter_map(|line| line.split_once(' '));
        let names = names.map(|(name, stands_for)| (name.to_owned(), stands_for.to_owned())).collect();
        Caches::new(parse_slabinfo(slabinfo), names, page)
    }

    #[test]
    fn a_merged_cache_is_found_under_each_of_its_names() {
        let caches = caches(MERGED, LINKS, 4096);
        for (name, listed) in [
            ("TCP", "TCP"),
            ("tcp_bind_bucket", "eventpoll_epi"),
            ("tcp_bind2_bucket", "eventpoll_epi"),
            ("eventpoll_pwq", "anon_vma_chain"),
        ] {
            assert_eq!(caches.listed_as(name), Some(listed));
        }
        let pwq = caches.object("eventpoll_pwq").expect("an object");
        assert_eq!((pwq.size, pwq.footprint()), (64, 64.0));
        assert_eq!(caches.listed_as("no_such_cache"), None);
    }

    #[test]
    fn an_object_takes_its_part_of_the_slab() {
        let tcp = caches(MERGED, LINKS, 4096).object("TCP").expect("an object");
        assert_eq!((tcp.size, tcp.slab_bytes, tcp.per_slab), (2368, 32_768, 13));
        assert!((tcp.footprint() - 2_520.6).abs() < 0.1);
        // On a machine with pages of 64 KiB the same numbers mean other slabs.
        let large = caches(MERGED, LINKS, 65_536).object("filp").expect("an object");
        assert_eq!(large.slab_bytes, 65_536);
    }

    #[test]
    fn without_links_only_what_is_listed_is_known() {
        let merged = caches(MERGED, "", 4096);
        assert!(merged.object("TCP").is_some());
        assert_eq!(merged.object("tcp_bind_bucket"), None, "not 0: not known");
        let unmerged = caches(UNMERGED, "", 4096);
        assert!(unmerged.object("tcp_bind_bucket").is_some());
        assert_eq!(unmerged.object("tcp_bind2_bucket"), None);
    }

    proptest! {
        /// Whatever is merged with whatever: each name has the object of the one listed for its group.
        #[test]
        fn every_name_of_a_cache_has_its_object(groups in prop::collection::vec(0_u8..6, 1..20), page in 12_u32..17) {
            let (mut listed, mut names) = (BTreeMap::new(), BTreeMap::new());
            for (index, group) in groups.iter().enumerate() {
                let name = format!("cache_{index}");
                if !groups[..index].contains(group) {
                    let slab = Slab { objsize: 8 << group, objs_per_slab: 4, pages_per_slab: 1, ..Slab::default() };
                    listed.insert(name.clone(), slab);
                }
                names.insert(name, format!(":{group}"));
            }
            let caches = Caches::new(listed, names, 1 << page);
            for (index, group) in groups.iter().enumerate() {
                let object = caches.object(&format!("cache_{index}"));
                prop_assert_eq!(object, Object::new(8 << group, 1 << page, 4));
            }
        }

        #[test]
        fn no_numbers_make_it_panic(size: u64, per_slab: u64, pages: u64, page: u64) {
            let slab = Slab { objsize: size, objs_per_slab: per_slab, pages_per_slab: pages, ..Slab::default() };
            let caches = Caches::new(BTreeMap::from([("x".to_owned(), slab)]), BTreeMap::new(), page);
            prop_assert_eq!(caches.object("x").is_some(), per_slab > 0);
            prop_assert!(caches.object("x").is_none_or(|object| object.footprint().is_finite()));
        }
    }
}
