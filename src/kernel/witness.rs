//! Knowing when a namespace is really gone: its name vanishes at once, but sockets may hold it for long.
//!
//! The witness is a netlink socket in a namespace of its own that nobody else knows. There every watched
//! namespace gets a number, and the kernel takes the number back when the namespace has lost its last
//! user. Nothing of that can be seen from the host's namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};

use super::netlink::{Netlink, Opened};
use super::netns;

/// The kernel chooses the number.
const ANY: i32 = -1;

const LOOK_EVERY: Duration = Duration::from_millis(5);

pub struct Witness {
    netlink: Netlink,
}

impl Witness {
    pub fn open() -> io::Result<Witness> {
        let runtime = tokio::runtime::Handle::current();
        let opened = netns::in_new_namespace(|| Opened::here(&runtime))?;
        Ok(Witness { netlink: opened.serve() })
    }

    pub async fn watch(&mut self, namespace: &File) -> io::Result<()> {
        let mut message = NsidMessage::default();
        message.attributes = vec![NsidAttribute::Fd(namespace.as_raw_fd() as u32), NsidAttribute::Id(ANY)];
        self.ask(RouteNetlinkMessage::NewNsId(message), NLM_F_ACK).await.map(|_| ())
    }

    /// How many of the watched namespaces still have a user.
    pub async fn still_held(&mut self) -> io::Result<usize> {
        let answers = self.ask(RouteNetlinkMessage::GetNsId(NsidMessage::default()), NLM_F_DUMP).await?;
        Ok(answers)
    }

    /// Waits until all are gone. How many are not when patience is over.
    pub async fn wait(&mut self, patience: Duration) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match self.still_held().await? {
                0 => return Ok(0),
                held if began.elapsed() > patience => return Ok(held),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<usize> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        let mut told = 0;
        for answer in self.netlink.ask(message).await? {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(_) => told += 1,
                _ => {}
            }
        }
        Ok(told)
    }
}
