//! What a namespace does with the packets it forwards, or takes: a table of nf_tables, made in one transaction.
//!
//! Nothing here is ever taken away again: a table goes with its namespace.

mod reset;

use std::io;
use std::net::IpAddr;

use rtnetlink::packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

pub use reset::reset;

const TABLE: &str = "c1m";
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// nf_tables among the parts of nfnetlink, and the messages that enclose a transaction.
const SUBSYSTEM: u16 = 10;
const BEGIN: u16 = 16;
const END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const NESTED: u16 = 1 << 15;
const HEADER: usize = 16;
/// An error comes with the whole request that it is about.
const LONGEST_ANSWER: usize = 8192;

/// Clients behind other addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The index of the link behind which they are seen so.
    pub out: u32,
    pub first: IpAddr,
    pub count: u32,
    pub ports: (u16, u16),
}

/// Where in the way of a packet a chain stands.
struct FilterChain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
}

const FORWARD: FilterChain = FilterChain { name: "forward", kind: "filter", hook: 2, priority: 0 };
/// The usual priority of source translation.
const POSTROUTING: FilterChain = FilterChain { name: "postrouting", kind: "nat", hook: 4, priority: 100 };

/// Has this thread's namespace track every connection of one family that it forwards, and translate its source if
/// asked to. What failed is named.
pub fn track(ipv6: bool, translation: Option<&Translation>) -> Result<(), (&'static str, io::Error)> {
    send(&transaction(family(ipv6), translation))
}

fn family(ipv6: bool) -> u8 {
    if ipv6 { IPV6 } else { IPV4 }
}

/// Speaks a transaction, and hears that all of it was done.
fn send(messages: &[NftMessage]) -> Result<(), (&'static str, io::Error)> {
    let failed = |error: rustix::io::Errno| ("speaking to netfilter", error.into());
    // The kernel has answered before `sendto` returns: there is nothing to wait for.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))
        .map_err(failed)?;
    let bytes: Vec<u8> = messages.iter().flat_map(|message| message.bytes.iter().copied()).collect();
    net::sendto(&socket, &bytes, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))
        .map_err(failed)?;
    let mut waited_for: Vec<_> = messages.iter().filter(|message| message.is_answered).collect();
    let mut buffer = [0; LONGEST_ANSWER];
    while !waited_for.is_empty() {
        let (length, _) = net::recv(&socket, &mut buffer[..], RecvFlags::empty()).map_err(failed)?;
        for (sequence, error) in results(&buffer[..length]) {
            let what = waited_for.iter().position(|message| message.sequence == sequence);
            let what = what.map_or("changing nf_tables", |index| waited_for.remove(index).what);
            if error != 0 {
                return Err((what, io::Error::from_raw_os_error(-error)));
            }
        }
    }
    Ok(())
}

struct NftMessage {
    what: &'static str,
    sequence: u32,
    is_answered: bool,
    bytes: Vec<u8>,
}

fn transaction(family: u8, translation: Option<&Translation>) -> Vec<NftMessage> {
    let chain = if translation.is_some() { POSTROUTING } else { FORWARD };
    let expressions = translation.map_or_else(observed, translated);
    let table = text(1, TABLE);
    let hook = [number(1, chain.hook), number(2, chain.priority as u32)].concat();
    let new_chain = [text(1, TABLE), text(3, chain.name), nested(4, &hook), text(7, chain.kind)].concat();
    let rule = [text(1, TABLE), text(2, chain.name), nested(4, &expressions)].concat();
    let parts = [
        ("beginning a transaction", BEGIN, Vec::new()),
        ("making the table of nf_tables", NEW_TABLE, table),
        ("making a chain of nf_tables", NEW_CHAIN, new_chain),
        ("making a rule of nf_tables", NEW_RULE, rule),
        ("ending a transaction", END, Vec::new()),
    ];
    parts
        .into_iter()
        .zip(1..)
        .map(|((what, kind, attributes), sequence)| message(what, (kind, family), sequence, &attributes))
        .collect()
}

/// What is to be made, and what is not to be there before.
const CREATE: u16 = NLM_F_CREATE;
const CREATE_ANEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

fn message(what: &'static str, about: (u16, u8), sequence: u32, attributes: &[u8]) -> NftMessage {
    message_with(CREATE_ANEW, what, about, sequence, attributes)
}

/// `kind` and `family` say what the message is about.
fn message_with(
    how: u16,
    what: &'static str,
    (kind, family): (u16, u8),
    sequence: u32,
    attributes: &[u8],
) -> NftMessage {
    let is_answered = !matches!(kind, BEGIN | END);
    let (family, resource) = if is_answered { (family, 0) } else { (0, SUBSYSTEM) };
    let mut header = NetlinkHeader::default();
    header.length = (HEADER + 4 + attributes.len()) as u32;
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | if is_answered { NLM_F_ACK | how } else { 0 };
    header.sequence_number = sequence;
    let mut bytes = vec![0; HEADER];
    header.emit(&mut bytes);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    NftMessage { what, sequence, is_answered, bytes }
}

/// The requests that are answered, each with its error; 0 is none.
fn results(mut answers: &[u8]) -> Vec<(u32, i32)> {
    let mut results = Vec::new();
    while let Ok(answer) = NetlinkBuffer::new_checked(answers) {
        let code = answer.payload().first_chunk().map(|code| i32::from_ne_bytes(*code));
        if let (NLMSG_ERROR, Some(code)) = (answer.message_type(), code) {
            results.push((answer.sequence_number(), code));
        }
        let next = aligned(answer.length() as usize);
        answers = answers.get(next..).unwrap_or_default();
    }
    results
}

/// Asks for the state of a packet's connection and does nothing with it: what asks has it tracked.
fn observed() -> Vec<u8> {
    expression("ct", &[number(1, REGISTERS[0]), number(2, 0)])
}

/// The registers that hold 16 bytes each.
const REGISTERS: [u32; 3] = [1, 2, 3];
/// The same registers count as four of 4 bytes each, numbered from 8: the last quarter of the first.
const LAST_OF_FIRST: u32 = 11;

fn translated(translation: &Translation) -> Vec<u8> {
    let Translation { out, first, count, ports } = *translation;
    let [address, low, high] = REGISTERS;
    let link = [number(1, address), number(2, 5)];
    let is_out = [number(1, address), number(2, 0), nested(3, &attribute(1, &out.to_ne_bytes()))];
    let mut expressions = [expression("meta", &link), expression("cmp", &is_out)].concat();
    let (family, bytes) = match first {
        IpAddr::V4(first) => (IPV4, first.octets().to_vec()),
        IpAddr::V6(first) => (IPV6, first.octets().to_vec()),
    };
    if count == 1 {
        expressions.extend(immediate(address, &bytes));
    } else {
        // Any of the addresses for each new connection. In turn would be more even, but a turn can fall in
        // step with that of the server's ports, and then half of the pairs are never met. The addresses differ in
        // their last four bytes only.
        let (common, last) = bytes.split_at(bytes.len() - 4);
        let lowest = last.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let drawn = if common.is_empty() { address } else { LAST_OF_FIRST };
        if !common.is_empty() {
            expressions.extend(immediate(address, common));
        }
        let random = [number(1, drawn), number(2, count), number(3, 1), number(4, lowest)];
        let to_network = [number(1, drawn), number(2, drawn), number(3, 1), number(4, 4), number(5, 4)];
        expressions.extend(expression("numgen", &random));
        expressions.extend(expression("byteorder", &to_network));
    }
    expressions.extend(immediate(low, &ports.0.to_be_bytes()));
    expressions.extend(immediate(high, &ports.1.to_be_bytes()));
    let to = [number(1, 0), number(2, family.into()), number(3, address), number(5, low), number(6, high)];
    expressions.extend(expression("nat", &to));
    expressions
}

fn immediate(register: u32, value: &[u8]) -> Vec<u8> {
    expression("immediate", &[number(1, register), nested(2, &attribute(1, value))])
}

fn expression(name: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, &attributes.concat())].concat())
}

fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, attributes)
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// Its length does not count the padding behind it.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(aligned(length));
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(length), 0);
    bytes
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests;
