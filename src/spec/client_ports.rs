//! Source ports: a choice of the author's, or `auto`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::units::{BadUnit, PortRange, text_form};

/// Which source ports the clients bind: those planned for each connection, or what the kernel chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPorts {
    Auto,
    Range(PortRange),
}

/// The setting that the kernel chooses ports by, and what it is in every new namespace.
pub const LOCAL_PORTS: &str = "net.ipv4.ip_local_port_range";
const USUAL_LOCAL_PORTS: PortRange = PortRange { first: 32768, last: 60999 };

impl ClientPorts {
    /// The ports they come from, in a namespace with these settings.
    pub fn range(&self, settings: &BTreeMap<String, String>) -> PortRange {
        match self {
            ClientPorts::Range(range) => *range,
            ClientPorts::Auto => {
                let asked = settings.get(LOCAL_PORTS).and_then(|text| PortRange::of_setting(text));
                asked.unwrap_or(USUAL_LOCAL_PORTS)
            }
        }
    }
}

impl FromStr for ClientPorts {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        if text.trim() == "auto" { Ok(ClientPorts::Auto) } else { text.parse().map(ClientPorts::Range) }
    }
}

impl fmt::Display for ClientPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientPorts::Auto => f.pad("auto"),
            ClientPorts::Range(range) => range.fmt(f),
        }
    }
}

text_form!(ClientPorts, "a port, a range such as 1024-65535, or `auto`", {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": r"^(auto|[0-9]{1,5}(-[0-9]{1,5})?)$",
    "examples": ["1024-65535", "auto"]
});
