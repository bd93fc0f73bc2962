//! Each fault names whom it strikes, and only that.

use super::{Checked, Invalid};
use crate::spec::faults::Struck;
use crate::spec::{FaultAction, Moment, Spec};
use crate::units::quoted;

pub(super) fn faults(spec: &Spec) -> Checked {
    for (index, fault) in spec.faults.iter().enumerate() {
        let invalid = |key: &str, why: String, remedy: &str| {
            Err(Invalid { path: format!("faults[{index}]{key}"), on_key: false, why, remedy: remedy.into() })
        };
        let struck = Struck::of(fault.action);
        if struck.named(fault).is_none() {
            let (why, remedy) = match struck {
                Struck::Agent => ("it does not say which `agent` it strikes", "add it: `agent: server`"),
                Struck::Node => ("it does not say whose link it strikes", "add it: `node: client-1`"),
                Struck::Ports => {
                    ("it does not say which `ports` it is about", "add them: `ports: 9900-9903`")
                }
            };
            return invalid("", why.into(), remedy);
        }
        let mut others = Struck::ALL.into_iter().filter(|other| *other != struck);
        if let Some((other, named)) = others.find_map(|other| Some((other, other.named(fault)?))) {
            let what = match struck {
                Struck::Agent => "a process is struck",
                Struck::Node => "a link is struck",
                Struck::Ports => "what goes to the server's ports is struck",
            };
            let why = match other {
                Struck::Agent => format!("{what}, not {}", quoted(&named)),
                Struck::Node => format!("{what}, not the link of {}", quoted(&named)),
                Struck::Ports => format!("{what}, not what goes to ports {named}"),
            };
            return invalid(&format!(".{}", other.key()), why, &format!("leave `{}` out", other.key()));
        }
        if fault.action == FaultAction::Reset && spec.driver.is_far() {
            let why = "the firewalls of machines are not the lab's".into();
            return invalid(".do", why, "leave it out, or run the lab on this host");
        }
        if fault.at == Moment::Closing && spec.ramp.rounds < 2 {
            let why = "with one round nothing is closed before the hold is over".into();
            return invalid(".at", why, "add a round: `ramp: {rounds: 2}`");
        }
    }
    Ok(())
}
