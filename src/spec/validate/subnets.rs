//! The lab's addresses: of which families they are, and where no lab can live.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Checked, Invalid, check};
use crate::spec::{FamilySpec, Spec};
use crate::units::{Address, Block};

pub fn subnets(spec: &Spec) -> Checked {
    families(spec)?;
    for (key, subnet) in [("network.subnet", spec.network.subnet), ("network.subnet6", spec.network.subnet6)]
    {
        let Some(subnet) = subnet else { continue };
        if let Some((taken, why)) = NO_NETWORKS.iter().find(|(taken, _)| taken.overlaps(subnet)) {
            return Err(Invalid {
                path: key.into(),
                on_key: false,
                why: format!("addresses of {taken} {why}"),
                remedy: format!(
                    "take private addresses such as {}, or leave the key out: a free subnet is found",
                    example(subnet)
                ),
            });
        }
    }
    Ok(())
}

fn example(subnet: Block) -> &'static str {
    if subnet.base.is_ipv4() { "10.99.0.0/16" } else { "fd00:99::/64" }
}

/// What the keys say of families has to agree.
fn families(spec: &Spec) -> Checked {
    let network = &spec.network;
    let families = network.families();
    let is_dual = network.family == Some(FamilySpec::Dual);
    let why =
        || "one subnet is enough: only a lab with addresses of both families has a second one".to_owned();
    check(
        is_dual || network.subnet6.is_none(),
        "network.subnet6",
        why,
        "write it as `subnet`, or add `family: dual`",
    )?;
    for family in families {
        let (subnet, key) = network.subnet_of(*family);
        let Some(subnet) = subnet else { continue };
        let why = || format!("{subnet} is no subnet of {}", family.name());
        check(subnet.family() == *family, key, why, "name one of that family, or leave `family` out")?;
    }
    let why = || "one client has addresses of one family".to_owned();
    check(
        !is_dual || spec.clients.count > 1,
        "network.family",
        why,
        "take 2 clients or more: `clients: {count: 2}`",
    )?;
    let why = || "the addresses of machines are what they are".to_owned();
    check(network.family.is_none() || !spec.driver.is_far(), "network.family", why, "leave it out")
}

const fn ipv4(a: u8, prefix: u8) -> Block {
    Block { base: Address::V4(Ipv4Addr::new(a, 0, 0, 0)), prefix }
}

const fn ipv6(first: u16, prefix: u8) -> Block {
    Block { base: Address::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
}

/// Where no lab can live, and what those addresses are for.
const NO_NETWORKS: [(Block, &str); 6] = [
    (ipv4(0, 8), "are no host's, and no route leads to them"),
    (ipv4(127, 8), "are every host's own, and never leave it"),
    (ipv4(224, 3), "are for multicast, or reserved: no connection has one"),
    (ipv6(0, 8), "are reserved: every host's own address is among them"),
    (ipv6(0xfe80, 10), "are each link's own, and are not forwarded"),
    (ipv6(0xff00, 8), "are for multicast: no connection has one"),
];
