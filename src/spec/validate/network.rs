//! Keys that say something about a router or a choice of ports which the lab does not have.

use super::{Checked, Invalid};
use crate::spec::client_ports::LOCAL_PORTS;
use crate::spec::{NetworkKind, Spec};
use crate::units::{Family, PortRange, quoted};

pub fn network(spec: &Spec) -> Checked {
    let network = &spec.network;
    let wrong = |path: &str, on_key: bool, why: &str, remedy: &str| {
        Err(Invalid { path: path.into(), on_key, why: why.into(), remedy: remedy.into() })
    };
    if network.asymmetric && network.kind != NetworkKind::Routed {
        return wrong(
            "network.asymmetric",
            false,
            "only a router that does not translate has two ways to the server",
            "take `kind: routed`, or leave the key out",
        );
    }
    if network.asymmetric && network.families().contains(&Family::Ipv6) {
        return wrong(
            "network.asymmetric",
            false,
            "only IPv4 has filters of the reverse path in the kernel",
            "take `family: ipv4`, or leave the key out",
        );
    }
    match (network.kind, network.conntrack, &network.nat) {
        (NetworkKind::Direct, Some(true), _) => wrong(
            "network.conntrack",
            false,
            "nothing tracks connections in a direct network: it has no router",
            "add `kind: routed` or `kind: nat`, or leave the key out",
        ),
        (NetworkKind::Direct | NetworkKind::Routed, _, Some(_)) => wrong(
            "network.nat",
            true,
            "nothing is translated in a network of this kind",
            "add `kind: nat`, or leave the key out",
        ),
        (NetworkKind::Nat, Some(false), _) => wrong(
            "network.conntrack",
            false,
            "a router that translates has to track connections",
            "leave the key out, or take `kind: routed`",
        ),
        (NetworkKind::Direct, ..) if !spec.sysctl.router.is_empty() => wrong(
            "sysctl.router",
            true,
            "a direct network has no router",
            "add `network: {kind: routed}`, or leave the key out",
        ),
        _ => local_ports(spec),
    }
}

fn local_ports(spec: &Spec) -> Checked {
    match spec.sysctl.client.get(LOCAL_PORTS) {
        Some(value) if PortRange::of_setting(value).is_none() => Err(Invalid {
            path: format!("sysctl.client.{LOCAL_PORTS}"),
            on_key: false,
            why: format!("{} is no range of ports", quoted(value)),
            remedy: "write the first and the last, like \"32768 60999\"".into(),
        }),
        _ => Ok(()),
    }
}
