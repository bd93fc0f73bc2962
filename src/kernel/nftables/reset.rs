//! A firewall before a namespace's own sockets: what comes to some ports is answered with a reset, in their name.

use std::io;

use super::{
    BEGIN, CREATE, END, FilterChain, NEW_CHAIN, NEW_RULE, NEW_TABLE, NftMessage, attribute, expression,
    family, message_with, nested, number, send, text,
};
use crate::units::PortRange;

/// Its own table: nothing else in the namespace is changed by it.
const TABLE: &str = "c1m-reset";
/// Before TCP sees the packet, so that TCP counts no reset of its own.
const INPUT: FilterChain = FilterChain { name: "input", kind: "filter", hook: 1, priority: 0 };

const TCP: u8 = 6;
const PROTOCOL: u32 = 16;
const EQUAL: u32 = 0;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;
const TRANSPORT_HEADER: u32 = 2;
const WITH_RESET: u32 = 1;
const REGISTER: u32 = 1;

/// Has this thread's namespace reset what comes to these ports, new and standing connections alike.
pub fn reset(ipv6: bool, ports: &[PortRange]) -> Result<(), (&'static str, io::Error)> {
    send(&transaction(family(ipv6), ports))
}

fn transaction(family: u8, ports: &[PortRange]) -> Vec<NftMessage> {
    let hook = [number(1, INPUT.hook), number(2, INPUT.priority as u32)].concat();
    let chain = [text(1, TABLE), text(3, INPUT.name), nested(4, &hook), text(7, INPUT.kind)].concat();
    let mut parts = vec![
        ("beginning a transaction", BEGIN, Vec::new()),
        ("making the table of nf_tables", NEW_TABLE, text(1, TABLE)),
        ("making a chain of nf_tables", NEW_CHAIN, chain),
    ];
    for range in ports {
        let rule = [text(1, TABLE), text(2, INPUT.name), nested(4, &expressions(*range))].concat();
        parts.push(("making a rule of nf_tables", NEW_RULE, rule));
    }
    parts.push(("ending a transaction", END, Vec::new()));
    // A second fault adds its rules to the table of the first.
    let message = |((what, kind, attributes), sequence): ((_, _, Vec<u8>), u32)| {
        message_with(CREATE, what, (kind, family), sequence, &attributes)
    };
    parts.into_iter().zip(1..).map(message).collect()
}

/// TCP, to a port of the range: reset.
fn expressions(range: PortRange) -> Vec<u8> {
    let protocol = expression("meta", &[number(1, REGISTER), number(2, PROTOCOL)]);
    // The destination port is the second field of the header.
    let place = [number(2, TRANSPORT_HEADER), number(3, 2), number(4, 2)];
    let port = expression("payload", &[&[number(1, REGISTER)], &place[..]].concat());
    let reject = expression("reject", &[number(1, WITH_RESET)]);
    let (first, last) = (range.first.to_be_bytes(), range.last.to_be_bytes());
    [protocol, compare(EQUAL, &[TCP]), port, compare(AT_LEAST, &first), compare(AT_MOST, &last), reject]
        .concat()
}

fn compare(how: u32, with: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, REGISTER), number(2, how), nested(3, &attribute(1, with))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_has_a_rule_in_one_transaction() {
        let ports = [PortRange { first: 9900, last: 9901 }, PortRange { first: 9910, last: 9910 }];
        let messages = transaction(super::super::IPV4, &ports);
        let kind = |one: &NftMessage| u16::from_ne_bytes([one.bytes[4], one.bytes[5]]);
        assert_eq!(messages.iter().map(kind).collect::<Vec<_>>(), [16, 0xa00, 0xa03, 0xa06, 0xa06, 17]);
        let flags = |one: &NftMessage| u16::from_ne_bytes([one.bytes[6], one.bytes[7]]);
        assert_eq!(flags(&messages[1]) & 0x200, 0, "what is there already is no error");
        let rule = &messages[3].bytes;
        let has = |bytes: &[u8]| rule.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(b"reject\0") && has(&9900_u16.to_be_bytes()) && has(&9901_u16.to_be_bytes()), "{rule:?}");
        assert!(messages.iter().all(|one| one.bytes.len() % 4 == 0));
    }
}
