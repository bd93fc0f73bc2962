//! What root may do, in parts: the effective capabilities of this process.

use std::fmt;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

/// Those that the lab asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    Kill,
    NetAdmin,
    NetBindService,
    Setgid,
    Setuid,
    SysAdmin,
    SysResource,
}

impl Capability {
    fn bit(self) -> CapabilitySet {
        match self {
            Capability::Kill => CapabilitySet::KILL,
            Capability::NetAdmin => CapabilitySet::NET_ADMIN,
            Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Capability::Setgid => CapabilitySet::SETGID,
            Capability::Setuid => CapabilitySet::SETUID,
            Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
            Capability::SysResource => CapabilitySet::SYS_RESOURCE,
        }
    }
}

/// `CAP_SYS_ADMIN`, as manual pages and `setcap` have it.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bit().iter_names().try_for_each(|(name, _)| write!(f, "CAP_{name}"))
    }
}

/// A set of capabilities, written as a list of names. One that a newer kernel adds and rustix has no name for
/// is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Capabilities(CapabilitySet);

impl Capabilities {
    pub fn all() -> Capabilities {
        Capabilities::from_bits(u64::MAX)
    }

    pub fn from_bits(bits: u64) -> Capabilities {
        let named = CapabilitySet::from_bits_retain(bits).iter_names().map(|(_, one)| one).collect();
        Capabilities(named)
    }

    /// From the `CapEff` line of a `/proc/<pid>/status`.
    pub fn from_status(status: &str) -> Option<Capabilities> {
        let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(bits.trim(), 16).ok().map(Capabilities::from_bits)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(capability.bit())
    }

    pub fn without(self, capability: Capability) -> Capabilities {
        Capabilities(self.0 - capability.bit())
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities(CapabilitySet::empty())
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Capabilities(capabilities.into_iter().map(Capability::bit).collect())
    }
}

impl From<Capabilities> for Vec<String> {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.0.iter_names().map(|(name, _)| name.to_owned()).collect()
    }
}

impl From<Vec<String>> for Capabilities {
    fn from(names: Vec<String>) -> Self {
        Capabilities(names.iter().filter_map(|name| CapabilitySet::from_name(name)).collect())
    }
}
