//! What a lab is built from: this host, or machines.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::units::{Address, Bytes};

/// What the lab is built from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// Network namespaces and veth pairs on this host.
    #[default]
    Netns,
    /// Machines that are reached by ssh.
    Ssh,
    /// Virtual machines of the Vagrantfile beside the lab file, reached by ssh.
    Vagrant,
}

impl DriverKind {
    /// Whether the nodes are machines of their own.
    pub fn is_far(self) -> bool {
        self != DriverKind::Netns
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DriverKind::Netns => "netns",
            DriverKind::Ssh => "ssh",
            DriverKind::Vagrant => "vagrant",
        })
    }
}

/// The machines of a lab whose driver is `ssh` or `vagrant`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MachinesSpec {
    /// The machine that accepts the connections, for example user@host; in full with the address of the test traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MachineSpec")]
    pub server: Option<MachineSpec>,
    /// The machines that open the connections, one client on each, for example [user@host].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<MachineSpec>,
    /// A configuration file for ssh, for example lab.ssh; without it, the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<String>,
    /// Where c1m-lab is on the machines, for example /usr/local/bin/c1m-lab; without it, it is looked for and copied where it is missing or another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// What becomes of a lab that needs more memory than a machine has.
    pub memory: MachineMemory,
}

/// What becomes of a lab that needs more memory than a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MachineMemory {
    /// It is refused.
    #[default]
    Within,
    /// It runs until the machine has none left: only for machines that were made for it.
    Exhaust,
}

/// One machine: `user@host` as ssh knows it, or a map with more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MachineSpec {
    /// As ssh knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// The address of the test traffic; without it, the one that ssh reached it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// A virtual machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// A virtual machine's processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
}

/// The map, without the short form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InFull {
    ssh: Option<String>,
    address: Option<String>,
    memory: Option<Bytes>,
    cpus: Option<u32>,
}

impl<'de> Deserialize<'de> for MachineSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrInFull)
    }
}

struct ShortOrInFull;

impl<'de> Visitor<'de> for ShortOrInFull {
    type Value = MachineSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a machine such as user@host or {ssh: user@host, address: 192.168.121.10}")
    }

    fn visit_str<E: serde::de::Error>(self, ssh: &str) -> Result<MachineSpec, E> {
        Ok(MachineSpec { ssh: Some(ssh.to_owned()), ..MachineSpec::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MachineSpec, A::Error> {
        let InFull { ssh, address, memory, cpus } =
            Deserialize::deserialize(MapAccessDeserializer::new(map))?;
        let address = address
            .map(|text| {
                text.parse().map_err(|_| {
                    let why = format!("{} is no IPv4 or IPv6 address", crate::units::quoted(&text));
                    serde::de::Error::custom(format!("{why}\nhelp: write it like 192.168.121.10"))
                })
            })
            .transpose()?;
        Ok(MachineSpec { ssh, address, memory, cpus })
    }
}

impl JsonSchema for MachineSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MachineSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": false, "properties": {
                    "ssh": {"type": "string", "description": "The machine as ssh knows it."},
                    "address": {"type": "string", "description": "The address of the test traffic; without it, the one that ssh reached it by."},
                    "memory": {"type": ["integer", "string"], "description": "A virtual machine's memory."},
                    "cpus": {"type": "integer", "minimum": 1, "description": "A virtual machine's processors."}
                }}
            ],
            "examples": ["user@host", {"ssh": "user@host", "address": "192.168.121.10"}]
        })
    }
}

impl MachinesSpec {
    /// The server first, then the clients.
    pub fn all(&self) -> impl Iterator<Item = &MachineSpec> {
        self.server.iter().chain(&self.clients)
    }
}
