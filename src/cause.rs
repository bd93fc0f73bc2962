//! The names of what may keep a connection from being there. What each means stands in `diagnose`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{BadUnit, quoted, text_form};

macro_rules! causes {
    ($($variant:ident => $name:literal),+ $(,)?) => {
        /// Why connections are missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause {
            $(#[doc = concat!("See `c1m-lab explain ", $name, "`.")] $variant,)+
        }

        impl Cause {
            pub const ALL: &[Cause] = &[$(Cause::$variant,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Cause::$variant => $name,)+
                }
            }
        }
    };
}

causes! {
    ServerDescriptors => "server_descriptors",
    ClientDescriptors => "client_descriptors",
    SystemFileTable => "system_file_table",
    SourceTuples => "source_tuples",
    TimeWait => "time_wait",
    ConntrackFull => "conntrack_full",
    NatTuples => "nat_tuples",
    AcceptQueue => "accept_queue",
    SynQueue => "syn_queue",
    SynCookies => "syn_cookies",
    ServerStalled => "server_stalled",
    TcpMemory => "tcp_memory",
    Orphans => "orphans",
    ServerMemory => "server_memory",
    ClientMemory => "client_memory",
    NeighbourTable => "neighbour_table",
    RxBacklog => "rx_backlog",
    ReversePath => "reverse_path",
    ResetOnTheWay => "reset_on_the_way",
    Refused => "refused",
    Unreachable => "unreachable",
    Filtered => "filtered",
    AgentDied => "agent_died",
    Unexplained => "unexplained",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Cause {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        Cause::ALL.iter().copied().find(|cause| cause.name() == text).ok_or_else(|| BadUnit {
            why: format!("{} is no cause", quoted(text)),
            remedy: "`c1m-lab explain` lists them all".into(),
        })
    }
}

/// The causes that a run is expected to have: exactly these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(pub BTreeSet<Cause>);

const NONE: &str = "none";

impl FromStr for Causes {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        if text.trim() == NONE {
            return Ok(Causes::default());
        }
        text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>().map(Causes)
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.pad(NONE);
        }
        let names: Vec<&str> = self.0.iter().map(|cause| cause.name()).collect();
        f.pad(&names.join(", "))
    }
}

text_form!(Causes, "`none`, or causes such as conntrack_full, joined by commas", {
    "type": "string",
    "pattern": "^(none|[a-z_]+( *, *[a-z_]+)*)$",
    "examples": ["none", "conntrack_full", "accept_queue, conntrack_full"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        for cause in Cause::ALL {
            assert_eq!(cause.to_string().parse::<Cause>().expect("a cause"), *cause);
            assert_eq!(serde_json::to_string(cause).expect("JSON"), format!("{:?}", cause.name()));
        }
        for text in ["none", "accept_queue, conntrack_full"] {
            assert_eq!(text.parse::<Causes>().expect("causes").0.len(), if text == "none" { 0 } else { 2 });
        }
        assert!("accept_queue, nothing".parse::<Causes>().is_err());
    }
}
