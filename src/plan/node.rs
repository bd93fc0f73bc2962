//! The nodes of a lab: a server, its clients, and perhaps a router between them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tuples::Addresses;
use crate::units::{Block, Family};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Server,
    Client,
    Router,
}

/// A server, a client or a router: a network namespace of this host, or a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    pub name: String,
    pub role: Role,
    /// One for each family of addresses that the node has; the first always is there.
    pub homes: Vec<Home>,
    /// Settings that the lab wants there.
    pub settings: BTreeMap<String, String>,
    pub cpus: Vec<u32>,
}

/// A node's addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Home {
    pub addresses: Addresses,
    /// The block of the subnet that belongs to this node.
    pub block: Block,
    /// Whether each address is put on the link; else the whole block counts as the node's own.
    pub each_address: bool,
}

impl Home {
    pub fn family(&self) -> Family {
        self.block.family()
    }
}

impl Node {
    /// Its addresses; of a node with both families, those of IPv4.
    pub fn home(&self) -> &Home {
        &self.homes[0]
    }

    pub fn home_of(&self, family: Family) -> Option<&Home> {
        self.homes.iter().find(|home| home.family() == family)
    }

    pub fn address_count(&self) -> u64 {
        self.homes.iter().map(|home| u64::from(home.addresses.count)).sum()
    }
}
