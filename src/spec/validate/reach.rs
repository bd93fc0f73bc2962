//! How machines are reached: what a lab file says of it becomes an argument of ssh, and part of the user's own
//! configuration of it (`%h` in a ProxyCommand). So it is names and numbers, and nothing that a shell would take apart.

use super::{Checked, check};
use crate::units::quoted;

/// A machine as ssh knows it.
pub(super) fn destination(path: &str, ssh: Option<&str>) -> Checked {
    let Some(ssh) = ssh.filter(|ssh| !ssh.is_empty()) else {
        let why = || "nothing says how ssh reaches this machine".to_owned();
        return check(false, path, why, "add `ssh: user@host`");
    };
    let why = || format!("{} is nothing that ssh may be given", quoted(ssh));
    let remedy =
        "write `user@host` or a name of ~/.ssh/config: letters, digits and . _ - : only, no leading dash";
    check(is_destination(ssh), path, why, remedy)
}

/// `host`, `user@host`, or either with `ssh://` before it.
fn is_destination(ssh: &str) -> bool {
    let ssh = ssh.strip_prefix("ssh://").unwrap_or(ssh);
    let (user, host) = ssh.rsplit_once('@').unwrap_or(("user", ssh));
    // In brackets stands an address of IPv6.
    let host: String = host.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    is_name(user) && is_name(&host)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// Where c1m-lab is on the machines. It is run there, as root where that may be: it must be no other program.
pub(super) fn binary(binary: Option<&str>) -> Checked {
    let Some(binary) = binary else { return Ok(()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    let file = binary.rsplit('/').next().unwrap_or_default();
    let holds = binary.starts_with('/') && binary.chars().all(plain) && file.starts_with("c1m-lab");
    let why = || format!("{} is no place of c1m-lab", quoted(binary));
    check(holds, "machines.binary", why, "name it in full, like /usr/local/bin/c1m-lab")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_names_only() {
        for good in [
            "host",
            "root@big-one",
            "root@10.77.9.1",
            "u_1@a.b.example",
            "ssh://root@h:2222",
            "root@[fe80::1]",
        ] {
            assert!(is_destination(good), "{good}");
        }
        for bad in [
            "-oProxyCommand=x",
            "-v",
            "user@-oProxyCommand=x",
            "-l@host",
            "host name",
            "host;id",
            "$(id)",
            "`id`",
            "a|b",
            "a&b",
            "a\nb",
            "a'b",
            "a\"b",
            "%h",
            "ssh://-x",
            "@host",
            "user@",
            "a/b",
            "höst",
            "a\u{0}",
        ] {
            assert!(!is_destination(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_program_on_a_machine_is_this_one() {
        for good in ["/usr/local/bin/c1m-lab", "/opt/c1m-lab-0.1.0/c1m-lab_x86"] {
            assert!(binary(Some(good)).is_ok(), "{good}");
        }
        for bad in [
            "/bin/sh",
            "c1m-lab",
            "/usr/bin/c1m-lab;id",
            "/tmp/x/$HOME/c1m-lab",
            "",
            "/c1m-lab/sh",
            "/a b/c1m-lab",
        ] {
            assert!(binary(Some(bad)).is_err(), "{bad}");
        }
    }
}
