//! Why connections failed, as far as a client by hand can tell. Pure.

use std::collections::BTreeMap;

use crate::agent::tally::{Operation, Tally};
use crate::units::{PortRange, Ports, grouped};

/// What became of the connections to one port of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtPort {
    pub established: u64,
    pub failed: u64,
}

/// What is known about a client that has tried everything.
pub struct Tried<'a> {
    /// The range that was asked for.
    pub ports: PortRange,
    /// Those that were tried.
    pub at: BTreeMap<u16, AtPort>,
    pub failed: &'a Tally,
}

impl Tried<'_> {
    /// The likely causes, each with what to do.
    pub fn causes(&self) -> Vec<String> {
        let connect = |errno: &str| {
            let rows = self.failed.rows();
            rows.into_iter().find(|row| row.operation == Operation::Connect && row.errno == errno)
        };
        let mut causes = Vec::new();
        if let Some(row) = connect("ECONNREFUSED") {
            causes.push(self.refused(row.count == self.failed.total()));
        }
        if connect("ETIMEDOUT").is_some() {
            causes.push(
                "nothing answered in time: a firewall drops the packets, the machine is not there, or the server's \
                 queues are full; a longer `--timeout` tells slow from silent"
                    .to_owned(),
            );
        }
        if connect("EADDRNOTAVAIL").is_some() {
            causes.push(format!(
                "the source ports are used up ({} of the server were tried): give more ports (`--ports`), source \
                 addresses (`--source`, `--sources`), or a wider net.ipv4.ip_local_port_range",
                ports_in_words(self.at.len() as u64),
            ));
        }
        if ["ENETUNREACH", "EHOSTUNREACH"].into_iter().any(|errno| connect(errno).is_some()) {
            causes.push("there is no way to that address: look at `ip route get` for it".to_owned());
        }
        causes
    }

    /// `only`: no connection failed in another way, so each port tells for itself.
    fn refused(&self, only: bool) -> String {
        let which = |is: fn(&AtPort) -> bool| {
            ranges(self.at.iter().filter(|(_, at)| is(at)).map(|(port, _)| *port)).to_string()
        };
        let any = |is: fn(&AtPort) -> bool| self.at.values().any(is);
        let listen = format!("`c1m-lab server --ports {}`", self.ports);
        if !any(|at| at.established > 0) {
            let tried = which(|_| true);
            return format!(
                "nobody listens on {tried}: start the server first ({listen}), or name its first port"
            );
        }
        if any(|at| at.established > 0 && at.failed > 0) {
            let mixed = which(|at| at.established > 0 && at.failed > 0);
            return format!(
                "{mixed} took some connections and not others: the server stopped listening, as one does that has \
                 no descriptor left; it says \"full\" then, and takes more with a higher `ulimit -n`"
            );
        }
        if !only {
            return "some ports are refused: nobody listens there, or a firewall answers instead".to_owned();
        }
        let silent = which(|at| at.established == 0);
        let remedy = match self.first_that_work() {
            Some(count) => format!("give `--ports {count}`"),
            None => format!("let it listen on all of them ({listen})"),
        };
        format!("nobody listens on {silent}: the server listens on fewer ports; {remedy}")
    }

    /// How many ports work, if they are the first ones of all that were asked for.
    fn first_that_work(&self) -> Option<u64> {
        let works = |port: &u16| self.at.get(port).is_some_and(|at| at.established > 0);
        let first = self.ports.iter().take_while(works).count();
        let all = self.at.values().filter(|at| at.established > 0).count();
        (first == all).then_some(first as u64)
    }
}

fn ports_in_words(count: u64) -> String {
    if count == 1 { "1 port".to_owned() } else { format!("{} ports", grouped(count)) }
}

/// Neighbours as ranges; the ports come in their order.
fn ranges(ports: impl IntoIterator<Item = u16>) -> Ports {
    let mut ranges: Vec<PortRange> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(port) => range.last = port,
            _ => ranges.push(PortRange { first: port, last: port }),
        }
    }
    Ports(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(at: &[(u16, u64, u64)], failed: &[(&str, u64)]) -> String {
        let mut tally = Tally::default();
        for (errno, count) in failed {
            tally.add_named(Operation::Connect, errno, *count);
        }
        let at = at.iter().map(|(port, established, failed)| {
            (*port, AtPort { established: *established, failed: *failed })
        });
        let ports = PortRange { first: 9900, last: 9999 };
        Tried { ports, at: at.collect(), failed: &tally }.causes().join("\n")
    }

    #[test]
    fn a_server_with_fewer_ports_is_told_with_how_many_to_give() {
        let at = [(9900, 256, 0), (9901, 256, 0), (9902, 0, 256), (9903, 0, 100)];
        let told = "nobody listens on 9902-9903: the server listens on fewer ports; give `--ports 2`";
        assert_eq!(causes(&at, &[("ECONNREFUSED", 356)]), told);
    }

    #[test]
    fn a_hole_in_the_ports_is_the_servers_to_mend() {
        let at = [(9900, 256, 0), (9901, 0, 256), (9902, 256, 0), (9903, 0, 100)];
        let told = causes(&at, &[("ECONNREFUSED", 356)]);
        assert!(
            told.starts_with("nobody listens on 9901,9903: the server listens on fewer ports;"),
            "{told}"
        );
        assert!(told.ends_with("(`c1m-lab server --ports 9900-9999`)"), "{told}");
    }

    #[test]
    fn no_server_and_a_full_one_are_told_apart() {
        let nobody = causes(&[(9900, 0, 10)], &[("ECONNREFUSED", 10)]);
        assert!(nobody.starts_with("nobody listens on 9900: start the server first"), "{nobody}");
        let full = causes(&[(9900, 256, 0), (9901, 30, 226), (9902, 0, 256)], &[("ECONNREFUSED", 482)]);
        assert!(full.starts_with("9901 took some connections and not others"), "{full}");
    }

    #[test]
    fn ports_are_blamed_only_where_nothing_else_failed() {
        let told = causes(&[(9900, 256, 0), (9901, 0, 256)], &[("ECONNREFUSED", 6), ("ETIMEDOUT", 250)]);
        assert!(!told.contains("--ports 1") && told.contains("in time"), "{told}");
    }

    #[test]
    fn used_up_ports_and_missing_ways_are_told() {
        assert!(causes(&[(9900, 28_000, 9)], &[("EADDRNOTAVAIL", 9)]).contains("(1 port of the server"));
        assert!(causes(&[(9900, 0, 9)], &[("ENETUNREACH", 9)]).contains("no way"));
        assert_eq!(causes(&[(9900, 9, 0)], &[]), "");
    }

    #[test]
    fn the_last_port_of_all_has_no_neighbour() {
        assert_eq!(ranges([1, 65_534, 65_535]).to_string(), "1,65534-65535");
    }
}
