//! Why a lab cannot be planned: which key asks for it, why not, and what helps. The place in the lab file comes last.

use std::fmt;

use crate::error::Error;
use crate::exit::Exit;
use crate::spec::Lab;

/// What planning says instead of a plan. It knows no file: `of` adds the place of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub exit: Exit,
    /// The path of the key that it is about, such as `server.ports`; none: no key asks for it.
    pub key: Option<String>,
    pub why: String,
    pub remedy: Option<String>,
}

impl Refusal {
    /// The lab file contradicts itself: no host could run it.
    pub fn input(key: impl Into<String>, why: impl fmt::Display) -> Refusal {
        Refusal { exit: Exit::Input, key: Some(key.into()), why: why.to_string(), remedy: None }
    }

    /// This host cannot do what the key asks for.
    pub fn host(key: impl Into<String>, why: impl fmt::Display) -> Refusal {
        Refusal { exit: Exit::Host, ..Refusal::input(key, why) }
    }

    /// This host lacks something that no single key asks for.
    pub fn host_lacks(why: impl fmt::Display) -> Refusal {
        Refusal { key: None, ..Refusal::host("", why) }
    }

    pub fn remedy(self, remedy: impl Into<String>) -> Refusal {
        Refusal { remedy: Some(remedy.into()), ..self }
    }

    /// The same as an error of this lab, with the line of the lab file that it is about.
    pub fn of(self, lab: &Lab) -> Error {
        let Refusal { exit, key, why, remedy } = self;
        let planning = || format!("planning the lab `{}` on this host", lab.spec.name);
        let error = match key {
            Some(key) if exit == Exit::Input => lab.source.error(&key, why),
            Some(key) => Error { exit, attempted: planning(), ..lab.source.error(&key, why) },
            None => Error::new(exit, planning(), why),
        };
        Error { remedy, ..error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn a_refusal_points_at_the_line_of_its_key() {
        let lab = spec::parse("lab.yaml", "name: small\nconnections: 10\nserver:\n  ports: 80", &[])
            .expect("a lab");
        let error = Refusal::input("server.ports", "too few").remedy("more").of(&lab);
        assert_eq!((error.exit, error.attempted.as_str()), (Exit::Input, "reading lab.yaml"));
        assert_eq!((error.excerpt.map(|at| at.line), error.remedy.as_deref()), (Some(4), Some("more")));
        let error = Refusal::host("connections", "too many").of(&lab);
        assert_eq!(error.attempted, "planning the lab `small` on this host");
        assert_eq!((error.exit, error.excerpt.map(|at| at.line)), (Exit::Host, Some(2)));
        let error = Refusal::host_lacks("no free subnet").of(&lab);
        assert_eq!((error.exit, error.excerpt, error.remedy), (Exit::Host, None, None));
    }
}
