//! How many five-tuples there are, on the clients' side of a router and behind it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::spec::{ClientPorts, Spec};
use crate::units::{Ports, grouped};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TupleSum {
    /// Those of the clients.
    pub possible: u64,
    pub needed: u64,
    pub addresses: u64,
    pub client_ports: u64,
    pub server_ports: u64,
    /// The kernel chooses each connection's source port, not the plan.
    pub kernel_chooses: bool,
    /// What a router makes of them.
    pub translated: Option<Translated>,
}

/// The five-tuples that the server sees behind a router that translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Translated {
    pub possible: u64,
    pub addresses: u64,
    pub ports: u64,
}

impl TupleSum {
    /// As many connections as the whole way has five-tuples for.
    pub fn all_the_way(&self) -> u64 {
        self.translated.map_or(self.possible, |translated| translated.possible.min(self.possible))
    }

    /// Whether somebody else chooses ports, who finds free ones only if all server ports are used alike.
    pub fn is_spread(&self) -> bool {
        self.kernel_chooses || self.translated.is_some()
    }
}

/// The ports that the clients connect to.
pub fn dialled_ports(spec: &Spec) -> &Ports {
    spec.clients.server_ports.as_ref().unwrap_or(&spec.server.ports)
}

/// The sum, or why it is too small. Only planned tuples are refused when they run out: what the kernel or a
/// router would have to find, a lab may ask for on purpose.
pub fn tuple_sum(spec: &Spec) -> Result<TupleSum, Refusal> {
    let addresses = u64::from(spec.clients.count) * u64::from(spec.clients.addresses);
    let range = spec.clients.ports.range(&spec.sysctl.client);
    let kernel_chooses = spec.clients.ports == ClientPorts::Auto;
    let client_ports = range.len() as u64;
    let server_ports = dialled_ports(spec).len() as u64;
    let product = |addresses: u64, ports: u64| addresses.saturating_mul(ports).saturating_mul(server_ports);
    let translated = spec.network.translation().map(|nat| {
        let (addresses, ports) = (u64::from(nat.addresses), nat.ports.len() as u64);
        let families = spec.network.families().len() as u64;
        // The family that more clients have meets the end of its tuples first.
        let (clients, of_one) =
            (u64::from(spec.clients.count), u64::from(spec.clients.count).div_ceil(families));
        let possible =
            u128::from(product(addresses, ports)) * u128::from(clients) / u128::from(of_one.max(1));
        let possible = u64::try_from(possible).unwrap_or(u64::MAX);
        Translated { possible, addresses: addresses * families, ports }
    });
    let sum = TupleSum {
        possible: product(addresses, client_ports),
        needed: spec.connections,
        addresses,
        client_ports,
        server_ports,
        kernel_chooses,
        translated,
    };
    if sum.needed <= sum.possible || kernel_chooses || spec.anyway {
        return Ok(sum);
    }
    let why = format!(
        "{} connections need as many five-tuples, and there are {}: {addresses} client addresses × {} client \
         ports × {server_ports} server ports",
        grouped(sum.needed),
        grouped(sum.possible),
        grouped(client_ports),
    );
    let enough = sum.needed.div_ceil(client_ports * server_ports).div_ceil(spec.clients.count.into());
    Err(Refusal::input("connections", why).remedy(format!(
        "give each client more addresses (`clients: {{addresses: {enough}}}`), or open more server ports"
    )))
}
