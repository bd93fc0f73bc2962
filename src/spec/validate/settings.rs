//! Kernel settings in a lab file: names that lead nowhere else, values that mean one thing, and whose they are.

use std::collections::BTreeMap;

use super::{Checked, Invalid, Spec};
use crate::permitted;
use crate::units::quoted;

/// Whose settings stand in a section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The whole host, or each machine.
    Host,
    /// A machine that is a node: what concerns its network.
    Machine,
    /// A network namespace of the lab.
    Namespace,
}

pub(super) fn all(spec: &Spec) -> Checked {
    let of_node = if spec.driver.is_far() { Owner::Machine } else { Owner::Namespace };
    let sysctl = &spec.sysctl;
    settings("sysctl.host", &sysctl.host, Owner::Host)?;
    settings("sysctl.server", &sysctl.server, of_node)?;
    settings("sysctl.client", &sysctl.client, of_node)?;
    settings("sysctl.router", &sysctl.router, of_node)
}

fn settings(section: &str, settings: &BTreeMap<String, String>, owner: Owner) -> Checked {
    for (name, value) in settings {
        let path = format!("{section}.{name}");
        let wrong = |on_key: bool, why: String, remedy: &str| {
            Err(Invalid { path: path.clone(), on_key, why, remedy: remedy.into() })
        };
        if !is_setting(name) {
            let why = format!("{} is no name of a kernel setting", quoted(name));
            return wrong(true, why, "write it with dots, like net.core.somaxconn");
        }
        let is_elsewhere = match owner {
            Owner::Host => false,
            Owner::Machine => !name.starts_with("net."),
            Owner::Namespace => !permitted::is_of_namespace(name),
        };
        if is_elsewhere {
            let why = format!("{} belongs to the whole host, not to a namespace", quoted(name));
            return wrong(true, why, "move it to `sysctl.host`: only settings of a network stand here");
        }
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            let why = format!("{} is no value for a kernel setting", quoted(value));
            return wrong(false, why, "write it on one line, like 65536 or \"4096 87380 6291456\"");
        }
        // The kernel takes these for other numbers than they look like: whether they are lower could not be told.
        if owner != Owner::Namespace && value.split_whitespace().any(is_ambiguous) {
            let why = format!("{} is a number that the kernel reads in its own way", quoted(value));
            return wrong(false, why, "write plain decimal numbers, like 65536 or \"4096 87380 6291456\"");
        }
        if permitted::find(name).is_some()
            && owner != Owner::Namespace
            && !value.split_whitespace().all(is_plain)
        {
            let why = format!("{} is no number, and {name} is", quoted(value));
            return wrong(false, why, "write plain decimal numbers, like 65536 or \"4096 87380 6291456\"");
        }
    }
    Ok(())
}

/// Decimal, and the same to everyone.
fn is_plain(word: &str) -> bool {
    word.parse::<u64>().is_ok_and(|number| number.to_string() == word)
}

/// Octal, hexadecimal, with a sign of plus, with a separator, or larger than any setting.
fn is_ambiguous(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let is_negative = word.starts_with('-') && is_plain(digits) && digits != "0";
    digits.starts_with(|c: char| c.is_ascii_digit()) && !is_negative && !is_plain(word)
}

/// The name becomes a path below /proc/sys, and must not lead out of it.
fn is_setting(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    let parts_are_named = name.split(['.', '/']).all(|part| !part.is_empty());
    name.contains('.') && name.chars().all(plain) && parts_are_named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_below_the_settings() {
        for astray in [
            "net",
            "net..x",
            ".net.x",
            "net.x.",
            "net./x",
            "net/.x",
            "net.../x",
            "/etc/passwd",
            "net.ipv4/../x",
            "net.x\0y",
            "net.x y",
            "net.x\ny",
            "net.ü",
            "~.x",
            "net.*",
            "../x.y",
        ] {
            assert!(!is_setting(astray), "{astray:?}");
        }
        assert!(is_setting("net.ipv4.conf.eth0/5.rp_filter") && is_setting("kernel.threads-max"));
    }

    #[test]
    fn a_number_means_the_same_to_the_kernel_and_to_us() {
        for ambiguous in ["0x64", "0144", "+5", "-0", "00", "1_000", "99999999999999999999", "1,2", "-07"] {
            assert!(is_ambiguous(ambiguous), "{ambiguous}");
        }
        for clear in ["0", "100", "-1", "cubic", "|/x", "18446744073709551615"] {
            assert!(!is_ambiguous(clear), "{clear}");
        }
    }
}
