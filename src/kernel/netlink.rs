//! Links, addresses and routes, in batches: many requests in one message, one answer each.

mod borrowed;
mod routes;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;

use super::qdisc;
use futures::StreamExt;
use netlink_proto::sys::SocketAddr;
use netlink_proto::{Connection, ConnectionHandle};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use rustix::io::Errno;

pub use borrowed::Borrowed;

/// Answers wait in the socket's receive buffer: with the default size, it holds those of a batch like this.
const BATCH: usize = 100;

pub const LOOPBACK: u32 = 1;

const LINK_LOCAL_PREFIX: u8 = 64;

/// One end of a veth pair, made straight inside its namespace under an index we choose.
#[derive(Clone, Debug)]
pub struct End {
    pub namespace: RawFd,
    pub name: String,
    pub index: u32,
}

#[derive(Clone, Debug)]
pub enum Request {
    /// Both ends are made at once, each straight in its namespace. The first is brought up;
    /// the kernel cannot bring up the other before they are tied.
    Veth(End, End),
    Up {
        index: u32,
    },
    Down {
        index: u32,
    },
    /// The link sends at most so many bytes per second; what exceeds it waits.
    Rate {
        index: u32,
        bytes_per_second: u64,
    },
    Address {
        index: u32,
        address: IpAddr,
    },
    /// The address of a link's end that is good for this link only.
    LinkLocal {
        index: u32,
        address: IpAddr,
    },
    /// A whole range that counts as this node's own, without an address for each.
    OwnRange {
        first: IpAddr,
        prefix: u8,
    },
    Unroute {
        to: IpAddr,
        prefix: u8,
    },
    /// Something that is ours on a machine that is not, marked so that it can be told from anyone else's.
    Borrow(Borrowed),
    GiveBack(Borrowed),
    Route {
        to: IpAddr,
        prefix: u8,
        via: Option<IpAddr>,
        index: u32,
        source: Option<IpAddr>,
    },
}

impl Request {
    /// With a link that is down its routes are gone too.
    fn is_done_already(&self, error: &io::Error) -> bool {
        matches!(self, Request::Unroute { .. }) && error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
    }

    /// The request that takes a route away again; other things are not undone one by one.
    pub fn undone(&self) -> Option<Request> {
        match self {
            Request::Route { to, prefix, .. } => Some(Request::Unroute { to: *to, prefix: *prefix }),
            _ => None,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Veth(one, other) => write!(f, "making the veth pair {} and {}", one.name, other.name),
            Request::Up { index } => write!(f, "bringing up link {index}"),
            Request::Down { index } => write!(f, "taking down link {index}"),
            Request::Rate { index, .. } => write!(f, "limiting the rate of link {index}"),
            Request::Address { index, address } | Request::LinkLocal { index, address } => {
                write!(f, "adding {address} to link {index}")
            }
            Request::OwnRange { first, prefix } => write!(f, "taking {first}/{prefix} as own addresses"),
            Request::Unroute { to, prefix } => write!(f, "removing the route to {to}/{prefix}"),
            Request::Borrow(borrowed) => write!(f, "adding {borrowed}"),
            Request::GiveBack(borrowed) => write!(f, "removing {borrowed}"),
            Request::Route { to, prefix, .. } => write!(f, "adding a route to {to}/{prefix}"),
        }
    }
}

/// A netlink socket, bound for ever to the namespace it was opened in.
pub struct Netlink {
    handle: ConnectionHandle<RouteNetlinkMessage>,
    /// Requests sent so far: their sequence numbers count from 1.
    sent: u32,
    task: tokio::task::JoinHandle<()>,
}

/// An opened socket, before it is served.
pub struct Opened {
    connection: Connection<RouteNetlinkMessage>,
    handle: ConnectionHandle<RouteNetlinkMessage>,
}

impl Opened {
    /// Opens a socket in this thread's namespace; it is served by the runtime of `runtime`.
    pub fn here(runtime: &tokio::runtime::Handle) -> io::Result<Opened> {
        let _inside = runtime.enter();
        let (connection, handle, _unasked) =
            netlink_proto::new_connection(netlink_proto::sys::protocols::NETLINK_ROUTE)?;
        Ok(Opened { connection, handle })
    }

    pub fn serve(self) -> Netlink {
        Netlink { handle: self.handle, sent: 0, task: tokio::spawn(self.connection) }
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        // The socket would keep its namespace alive.
        self.task.abort();
    }
}

impl Netlink {
    /// One request, all its answers.
    pub async fn ask(
        &mut self,
        message: NetlinkMessage<RouteNetlinkMessage>,
    ) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
        self.sent += 1;
        let answers = self.handle.request(message, SocketAddr::new(0, 0)).map_err(io::Error::other)?;
        Ok(answers.collect().await)
    }

    /// Sends all requests; the first that fails is named.
    pub async fn send(&mut self, requests: &[Request]) -> Result<(), (String, io::Error)> {
        for batch in requests.chunks(BATCH) {
            let messages: Vec<_> = batch.iter().map(message).collect();
            let first = self.sent + 1;
            self.sent += batch.len() as u32;
            let mut answers = self
                .handle
                .request_batch(messages, SocketAddr::new(0, 0))
                .map_err(|error| (batch[0].to_string(), io::Error::other(error)))?;
            let mut failed = None;
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    let index = answer.header.sequence_number.wrapping_sub(first) as usize;
                    if batch.get(index).is_some_and(|request| request.is_done_already(&error.to_io())) {
                        continue;
                    }
                    let what =
                        batch.get(index).map_or_else(|| "a netlink request".to_owned(), Request::to_string);
                    failed.get_or_insert((what, error.to_io()));
                }
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
        }
        Ok(())
    }
}

fn message(request: &Request) -> NetlinkMessage<RouteNetlinkMessage> {
    let inner = match request {
        Request::Veth(one, other) => RouteNetlinkMessage::NewLink(veth(one, other)),
        Request::Up { index } => {
            RouteNetlinkMessage::SetLink(LinkMessageBuilder::<LinkUnspec>::new().index(*index).up().build())
        }
        Request::Down { index } => {
            RouteNetlinkMessage::SetLink(LinkMessageBuilder::<LinkUnspec>::new().index(*index).down().build())
        }
        Request::Rate { index, bytes_per_second } => {
            RouteNetlinkMessage::NewQueueDiscipline(qdisc::token_bucket(*index, *bytes_per_second))
        }
        Request::Address { index, address } => {
            let all = if address.is_ipv4() { 32 } else { 128 };
            RouteNetlinkMessage::NewAddress(routes::address(*index, *address, all))
        }
        Request::LinkLocal { index, address } => {
            RouteNetlinkMessage::NewAddress(routes::address(*index, *address, LINK_LOCAL_PREFIX))
        }
        Request::OwnRange { first, prefix } => {
            RouteNetlinkMessage::NewRoute(routes::own_range(*first, *prefix))
        }
        Request::Borrow(borrowed) => RouteNetlinkMessage::NewRoute(borrowed.route()),
        Request::GiveBack(borrowed) => RouteNetlinkMessage::DelRoute(borrowed.route()),
        Request::Unroute { to, prefix } => RouteNetlinkMessage::DelRoute(routes::unroute(*to, *prefix)),
        Request::Route { to, prefix, via, index, source } => {
            RouteNetlinkMessage::NewRoute(routes::route((*to, *prefix), *via, *index, *source))
        }
    };
    let mut message = NetlinkMessage::from(inner);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let creates = !matches!(
        request,
        Request::Up { .. } | Request::Down { .. } | Request::Unroute { .. } | Request::GiveBack(_)
    );
    if creates {
        message.header.flags |= NLM_F_CREATE | NLM_F_EXCL;
    }
    message
}

fn veth(one: &End, other: &End) -> rtnetlink::packet_route::link::LinkMessage {
    // One queue each: the default is one for every CPU, and nothing here would use them.
    let queues = [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(other.name.clone())
        .index(other.index)
        .setns_by_fd(other.namespace)
        .append_extra_attribute(queues[0].clone())
        .append_extra_attribute(queues[1].clone())
        .build();
    LinkMessageBuilder::<LinkVeth>::new(&one.name, &other.name)
        .index(one.index)
        .up()
        .setns_by_fd(one.namespace)
        .append_extra_attribute(queues[0].clone())
        .append_extra_attribute(queues[1].clone())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build()
}
