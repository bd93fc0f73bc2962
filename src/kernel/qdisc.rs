//! A link that carries only so much: a token bucket on its way out.

use rtnetlink::packet_core::DefaultNla;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcHeader, TcMessage};

/// What waits at most, in bytes: nothing is dropped for being too much.
const LIMIT: u32 = 64 << 20;
/// What may pass at once, in bytes: a packet of the largest kind that a link carries unsplit.
const BURST: u32 = 2 << 10;

const OPTIONS: u16 = 2;
const PARAMETERS: u16 = 1;
const EXACT_BURST: u16 = 6;
const EXACT_RATE: u16 = 4;
const ETHERNET: u8 = 1;

/// The request that makes a link (by its index) send at most so many bytes per second.
pub fn token_bucket(index: u32, bytes_per_second: u64) -> TcMessage {
    let header = TcHeader {
        index: index.cast_signed(),
        handle: TcHandle { major: 1, minor: 0 },
        parent: TcHandle::ROOT,
        ..TcHeader::default()
    };
    let rate = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
    let mut options = attribute(PARAMETERS, &parameters(rate));
    options.extend(attribute(EXACT_BURST, &BURST.to_ne_bytes()));
    if bytes_per_second > u64::from(u32::MAX) {
        options.extend(attribute(EXACT_RATE, &bytes_per_second.to_ne_bytes()));
    }
    let options = TcAttribute::Other(DefaultNla::new(OPTIONS, options));
    TcMessage::from_parts(header, vec![TcAttribute::Kind("tbf".to_owned()), options])
}

/// `struct tc_tbf_qopt`: the rate, no peak rate, what may wait, and the rest as the kernel likes it.
fn parameters(rate: u32) -> Vec<u8> {
    let spec = |rate: u32| {
        let mut spec = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
        spec.extend(rate.to_ne_bytes());
        spec
    };
    let mut all = spec(rate);
    all.extend(spec(0));
    for value in [LIMIT, BURST, 0] {
        all.extend(value.to_ne_bytes());
    }
    all
}

/// Length, kind, value, and as many zeros as make it end at a multiple of four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
