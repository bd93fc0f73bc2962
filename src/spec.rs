//! What the user wrote: lab.yaml → `Spec`, every value knowing its line. Nothing here touches the machine.
//!
//! The sentences on fields are shown by editors while a lab file is written: they are for its author.

#![forbid(unsafe_code)]

mod client_ports;
mod faults;
mod load;
mod machines;
mod network;
mod not_yaml;
mod overrides;
mod processes;
mod read;
mod schema;
mod source;
mod tree;
mod validate;
mod wrong;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::Causes;
use crate::units::{Bytes, Count, Period, PortRange, Ports, Rate, Share};

pub use client_ports::ClientPorts;
pub use faults::{FaultAction, FaultSpec, Moment};
pub use load::{LARGEST_FILE, Lab, load, parse};
pub use machines::{DriverKind, MachineMemory, MachineSpec, MachinesSpec};
pub use network::{FamilySpec, NatSpec, NetworkKind, NetworkSpec};
pub use overrides::Override;
pub use processes::Processes;
pub use schema::schema;
pub use source::Source;

/// The ports that anyone may take.
const UNPRIVILEGED: PortRange = PortRange { first: 1024, last: 65535 };

/// A lab: how many connections to hold, between which ends, and what makes the run fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The lab's name: lower-case letters, digits and dashes, at most 32; without it, the file's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,31}$"))]
    pub name: String,
    /// What the lab is built from.
    #[serde(default)]
    pub driver: DriverKind,
    /// How many connections to hold, for example 10K or 1_000_000.
    #[serde(with = "as_count")]
    #[schemars(with = "Count", extend("minimum" = 1))]
    pub connections: u64,
    /// The machines of a lab whose driver is `ssh` or `vagrant`.
    #[serde(default)]
    pub machines: MachinesSpec,
    /// Run even where the plan knows that not every connection can be had, to see what happens.
    #[serde(default)]
    pub anyway: bool,
    /// The end that accepts the connections.
    #[serde(default)]
    pub server: ServerSpec,
    /// The ends that open the connections.
    #[serde(default)]
    pub clients: ClientsSpec,
    /// How the clients reach the server.
    #[serde(default)]
    pub network: NetworkSpec,
    /// How fast the connections are opened.
    #[serde(default)]
    pub ramp: RampSpec,
    /// How long to hold the connections once they are open, for example 30s.
    #[serde(default = "default_hold")]
    pub hold: Period,
    /// What the connections carry while they are held.
    #[serde(default)]
    pub traffic: TrafficSpec,
    /// What breaks on purpose during the run, for example `[{at: hold, do: kill, agent: reactor-1}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSpec>,
    /// What each process may use.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// Kernel settings for the time of the run.
    #[serde(default)]
    pub sysctl: SysctlSpec,
    /// What makes the run fail; whatever is not named here is reported but fails nothing.
    #[serde(default)]
    pub expect: ExpectSpec,
}

/// The end that accepts the connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    /// The ports the server listens on: a port, a range such as 9900-9999, or a list of them.
    pub ports: Ports,
    /// How many processes accept: `auto` starts another one only when the descriptors of the last are used up.
    pub reactors: Processes,
    /// How many connections may wait to be accepted on each port, for example 65536; without it, the lab chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub backlog: Option<u32>,
}

/// The ends that open the connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientsSpec {
    /// How many clients there are, each with a network of its own; on machines, as many as are named.
    #[schemars(range(min = 1))]
    pub count: u32,
    /// How many source addresses each client has; on machines 1, its own, if nothing is written.
    #[schemars(range(min = 1))]
    pub addresses: u32,
    /// The source ports of each address, for example 1024-65535; `auto` leaves the choice to the kernel, which
    /// takes them from `net.ipv4.ip_local_port_range`, and searches ever longer once half of them are taken.
    pub ports: ClientPorts,
    /// How many processes each client is: `auto` takes as many as the descriptors need.
    pub processes: Processes,
    /// The server ports to connect to, for example 9900-9909; without it, those that the server listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Ports")]
    pub server_ports: Option<Ports>,
}

/// How fast the connections are opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RampSpec {
    /// How many connections to open per second in all, for example 20K/s, or `max` for no limit.
    pub rate: Rate,
    /// How many connections each client process may be opening at the same time.
    #[schemars(range(min = 1))]
    pub window: u32,
    /// How long an attempt to connect may take before it counts as failed, for example 10s.
    pub timeout: Period,
    /// How often to open all connections; before each next round the clients close them in order, at the same rate.
    #[schemars(range(min = 1))]
    pub rounds: u32,
    /// When to stop opening connections.
    pub until: Until,
    /// Where to pause on the way, as long as `hold`, for example `[2K, 5K]`: what stood there is in the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plateaus: Vec<Count>,
}

/// When to stop opening connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// When all have been tried.
    #[default]
    Done,
    /// When the first one fails or is lost: `connections` is only a bound, and leaving out the rest is no failure.
    Breaks,
}

/// What the connections carry while they are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrafficSpec {
    /// Whether the connections carry anything.
    pub kind: TrafficKind,
    /// How often each connection sends, for example 10s.
    pub every: Period,
    /// How much is sent each time, from 1B to 1MiB.
    pub size: Bytes,
}

/// Whether the connections carry anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficKind {
    /// The connections stay silent.
    #[default]
    Idle,
    /// The client sends, the server sends the same back, and the client compares.
    Echo,
}

/// What each process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSpec {
    /// The limits of the server.
    pub server: RoleLimits,
    /// The limits of each client.
    pub client: RoleLimits,
}

/// The limits of one end; whatever is not named stays as the host has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoleLimits {
    /// How many descriptors a process may have open, for example 20K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<Count>,
    /// How much memory this end may use, for example 6GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// How many processors this end may use, for example 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
}

/// Kernel settings for the time of the run, for example `net.ipv4.tcp_max_syn_backlog: 65536`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SysctlSpec {
    /// Settings of the whole host, of those that a lab can need; they are put back after the run.
    #[schemars(with = "schema::AnySettings")]
    pub host: BTreeMap<String, String>,
    /// Settings of the server's network namespace: their names begin with `net.`.
    #[schemars(with = "schema::NetworkSettings")]
    pub server: BTreeMap<String, String>,
    /// Settings of each client's network namespace: their names begin with `net.`.
    #[schemars(with = "schema::NetworkSettings")]
    pub client: BTreeMap<String, String>,
    /// Settings of the router's network namespace: their names begin with `net.`.
    #[schemars(with = "schema::NetworkSettings")]
    pub router: BTreeMap<String, String>,
}

/// What makes the run fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectSpec {
    /// At least so many connections are established, for example 100% or 990K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established: Option<Share>,
    /// At most so many attempts to connect fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Count>,
    /// At most so many established connections are lost before they are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Count>,
    /// At most so many echoes differ from what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_wrong: Option<Count>,
    /// The server uses at most so much memory for each connection, for example 5KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_bytes_per_connection: Option<Bytes>,
    /// The clients use at most so much memory for each connection, for example 5KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_bytes_per_connection: Option<Bytes>,
    /// At least so many connections are opened per second, for example 50K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<Count>,
    /// Opening all connections takes at most so long, for example 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Period>,
    /// Exactly these causes keep connections from being there: `none`, or causes joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Causes>,
}

impl Default for ServerSpec {
    fn default() -> Self {
        let ports = Ports(vec![PortRange { first: 9900, last: 9999 }]);
        ServerSpec { ports, reactors: Processes::Auto, backlog: None }
    }
}

impl Default for ClientsSpec {
    fn default() -> Self {
        ClientsSpec {
            count: 1,
            addresses: 16,
            ports: ClientPorts::Range(UNPRIVILEGED),
            processes: Processes::Auto,
            server_ports: None,
        }
    }
}

impl Default for RampSpec {
    fn default() -> Self {
        RampSpec {
            rate: Rate::Max,
            window: 256,
            timeout: Period(Duration::from_secs(10)),
            until: Until::Done,
            rounds: 1,
            plateaus: Vec::new(),
        }
    }
}

impl Default for TrafficSpec {
    fn default() -> Self {
        TrafficSpec { kind: TrafficKind::Idle, every: Period(Duration::from_secs(10)), size: Bytes(64) }
    }
}

fn default_hold() -> Period {
    Period(Duration::from_secs(30))
}

/// A plain number in the code, a count such as `10K` in the file.
mod as_count {
    use super::{Count, Deserialize, Serialize};

    pub fn serialize<S: serde::Serializer>(count: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        Count(*count).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Count::deserialize(deserializer).map(|count| count.0)
    }
}
