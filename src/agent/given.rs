//! Descriptors that an agent is given by whoever starts it: the namespace to enter, and the ways to its neighbours in
//! the chain. They come over its stdin, before the first order: a descriptor is what it was when it was looked at,
//! whatever has its name meanwhile, and nobody else can come to it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// The three kinds, each a bit of the byte that they come with, in the order in which they come.
const NAMESPACE: u8 = 1;
const BEFORE: u8 = 2;
const AFTER: u8 = 4;
const MOST: usize = 3;

#[derive(Debug, Default)]
pub struct Given {
    pub namespace: Option<OwnedFd>,
    pub ends: ChainEnds,
}

/// A reactor's ends of two socket pairs.
#[derive(Debug, Default)]
pub struct ChainEnds {
    /// To the reactor before it in the chain.
    pub before: Option<UnixStream>,
    /// To the one after it.
    pub after: Option<UnixStream>,
}

impl Given {
    pub fn send(&self, way: &UnixStream) -> io::Result<()> {
        let all = [
            (NAMESPACE, self.namespace.as_ref().map(AsFd::as_fd)),
            (BEFORE, self.ends.before.as_ref().map(AsFd::as_fd)),
            (AFTER, self.ends.after.as_ref().map(AsFd::as_fd)),
        ];
        let kinds = all.iter().filter(|(_, one)| one.is_some()).map(|(kind, _)| kind).sum();
        let descriptors: Vec<BorrowedFd<'_>> = all.into_iter().filter_map(|(_, one)| one).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        rustix::net::sendmsg(way, &[IoSlice::new(&[kinds])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    pub fn receive(way: impl AsFd) -> io::Result<Given> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut kinds = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(way, &mut [IoSliceMut::new(&mut kinds)], &mut control, flags)?;
        let mut descriptors = Vec::with_capacity(MOST);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        if u32::try_from(descriptors.len()) != Ok(kinds[0].count_ones()) {
            return Err(io::Error::other("not all descriptors came that were announced"));
        }
        let mut descriptors = descriptors.into_iter();
        let mut next = |kind| if kinds[0] & kind == 0 { None } else { descriptors.next() };
        Ok(Given {
            namespace: next(NAMESPACE),
            ends: ChainEnds {
                before: next(BEFORE).map(UnixStream::from),
                after: next(AFTER).map(UnixStream::from),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_given_arrives_in_its_place() {
        for kinds in 0..8 {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let (mut far, near) = UnixStream::pair().expect("a pair");
            let copy = |kind: u8| (kinds & kind != 0).then(|| near.try_clone().expect("a copy"));
            let given = Given {
                namespace: copy(NAMESPACE).map(OwnedFd::from),
                ends: ChainEnds { before: copy(BEFORE), after: copy(AFTER) },
            };
            given.send(&ours).expect("it is sent");
            drop(given);
            (&ours).write_all(b"order").expect("it is sent");
            let Given { namespace, ends } = Given::receive(&theirs).expect("it comes");
            let came = [namespace.map(UnixStream::from), ends.before, ends.after];
            for (place, one) in came.into_iter().enumerate() {
                assert_eq!(one.is_some(), kinds & (1 << place) != 0, "{kinds}");
                let Some(one) = one else { continue };
                (&one).write_all(b"x").expect("it leads to the other end");
                far.read_exact(&mut [0]).expect("it leads to the other end");
            }
            let mut order = [0; 5];
            (&theirs).read_exact(&mut order).expect("the order follows");
            assert_eq!(&order, b"order");
        }
    }

    #[test]
    fn what_was_announced_must_come() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (&ours).write_all(&[NAMESPACE]).expect("it is sent");
        assert!(Given::receive(&theirs).is_err());
    }
}
