//! The bytes of a transaction, and what is understood of its answers.

use super::*;

type Attributes = Vec<(u16, Vec<u8>)>;

/// `(kind, value)` of each attribute in a row, which must fill the bytes to the last.
fn attributes(mut bytes: &[u8]) -> Attributes {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]);
        found.push((kind & !NESTED, bytes[4..length].to_vec()));
        bytes = &bytes[aligned(length)..];
    }
    found
}

/// The names of a rule's expressions, each with its attributes.
fn expressions(rule: &NftMessage) -> Vec<(String, Attributes)> {
    let list = attributes(&rule.bytes[HEADER + 4..]).remove(2).1;
    let one = |(_, element): (u16, Vec<u8>)| {
        let parts = attributes(&element);
        let name = parts[0].1.strip_suffix(&[0]).expect("a text ends with 0").to_vec();
        (String::from_utf8(name).expect("a name"), attributes(&parts[1].1))
    };
    attributes(&list).into_iter().map(one).collect()
}

fn hidden_behind(first: &str, count: u32) -> Translation {
    Translation { out: 2, first: first.parse().expect("an address"), count, ports: (20_000, 20_999) }
}

const FIRST: &str = "10.99.0.26";
const FIRST6: &str = "fd00:99::1a";

#[test]
fn a_transaction_is_enclosed_and_aligned() {
    let of_ipv4 = [None, Some(hidden_behind(FIRST, 1)), Some(hidden_behind(FIRST, 3))];
    let of_ipv6 = [None, Some(hidden_behind(FIRST6, 1)), Some(hidden_behind(FIRST6, 3))];
    let all = of_ipv4.into_iter().map(|one| (IPV4, one)).chain(of_ipv6.into_iter().map(|one| (IPV6, one)));
    for (family, translation) in all {
        let messages = transaction(family, translation.as_ref());
        let kinds: Vec<u16> =
            messages.iter().map(|one| u16::from_ne_bytes([one.bytes[4], one.bytes[5]])).collect();
        assert_eq!(kinds, [16, 0xa00, 0xa03, 0xa06, 17]);
        for (message, sequence) in messages.iter().zip(1_u32..) {
            assert_eq!(message.bytes.len() % 4, 0);
            assert_eq!(message.bytes[0..4], (message.bytes.len() as u32).to_ne_bytes());
            assert_eq!(message.bytes[8..12], sequence.to_ne_bytes());
            // The ends of a transaction say whose it is, the rest which protocol it is about.
            let about = if message.is_answered { [family, 0, 0, 0] } else { [0, 0, 0, 10] };
            assert_eq!(message.bytes[16..20], about);
        }
    }
}

#[test]
fn tracking_is_asked_for_where_packets_are_forwarded() {
    let messages = transaction(IPV4, None);
    let chain = attributes(&messages[2].bytes[HEADER + 4..]);
    assert_eq!(chain[1], (3, b"forward\0".to_vec()));
    assert_eq!(attributes(&chain[2].1), [(1, vec![0, 0, 0, 2]), (2, vec![0, 0, 0, 0])]);
    assert_eq!(chain[3], (7, b"filter\0".to_vec()));
    let names: Vec<_> = expressions(&messages[3]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ct"]);
}

#[test]
fn one_address_is_written_into_the_rule() {
    let rule = expressions(&transaction(IPV4, Some(&hidden_behind(FIRST, 1)))[3]);
    let names: Vec<_> = rule.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["meta", "cmp", "immediate", "immediate", "immediate", "nat"]);
    let value = |index: usize| attributes(&rule[index].1[1].1).remove(0).1;
    assert_eq!((value(2), value(3), value(4)), (vec![10, 99, 0, 26], vec![0x4e, 0x20], vec![0x52, 0x07]));
    // The link's index is a number of this machine's.
    assert_eq!(attributes(&rule[1].1[2].1), [(1, 2_u32.to_ne_bytes().to_vec())]);
    let register = |number: u8| vec![0, 0, 0, number];
    let nat = [(1, register(0)), (2, register(2)), (3, register(1)), (5, register(2)), (6, register(3))];
    assert_eq!(rule[5].1, nat);
}

#[test]
fn several_addresses_are_drawn_from() {
    let rule = expressions(&transaction(IPV4, Some(&hidden_behind(FIRST, 3)))[3]);
    let names: Vec<_> = rule.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["meta", "cmp", "numgen", "byteorder", "immediate", "immediate", "nat"]);
    let drawn =
        [(1, vec![0, 0, 0, 1]), (2, vec![0, 0, 0, 3]), (3, vec![0, 0, 0, 1]), (4, vec![10, 99, 0, 26])];
    assert_eq!(rule[2].1, drawn);
}

#[test]
fn of_an_ipv6_address_only_the_end_is_drawn() {
    let rule = expressions(&transaction(IPV6, Some(&hidden_behind(FIRST6, 3)))[3]);
    let names: Vec<_> = rule.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["meta", "cmp", "immediate", "numgen", "byteorder", "immediate", "immediate", "nat"]);
    let common = [0xfd, 0, 0, 0x99, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(attributes(&rule[2].1[1].1).remove(0).1, common);
    let drawn =
        [(1, vec![0, 0, 0, 11]), (2, vec![0, 0, 0, 3]), (3, vec![0, 0, 0, 1]), (4, vec![0, 0, 0, 26])];
    assert_eq!(rule[3].1, drawn);
    assert_eq!(rule[7].1[1], (2, vec![0, 0, 0, IPV6]));
    let whole = expressions(&transaction(IPV6, Some(&hidden_behind(FIRST6, 1)))[3]);
    assert_eq!(attributes(&whole[2].1[1].1).remove(0).1.len(), 16);
}

#[test]
fn answers_are_told_apart() {
    let answer = |sequence: u32, code: i32| {
        let mut bytes = message("", (2, IPV4), sequence, &code.to_ne_bytes()).bytes;
        // An answer has no header of nfnetlink.
        bytes.drain(HEADER..HEADER + 4);
        bytes.extend([0; 16]);
        bytes[0..4].copy_from_slice(&36_u32.to_ne_bytes());
        bytes
    };
    let both = [answer(2, 0), answer(3, -17)].concat();
    assert_eq!(results(&both), [(2, 0), (3, -17)]);
    assert_eq!(results(&both[..50]), [(2, 0)], "the second is cut off");
    assert_eq!(results(&[]), []);
}
