//! Counters that the kernel prints as tables: pairs of lines, and one hexadecimal line for each CPU.

/// `/proc/net/snmp` and `/proc/net/netstat`: a line of names and a line of values for each protocol.
/// Yields `("Tcp.RetransSegs", 3)`.
pub fn parse_pairs(text: &str) -> Vec<(String, u64)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            // Only limits such as MaxConn are ever negative: they are no counters.
            if let Ok(value) = value.parse() {
                pairs.push((format!("{protocol}.{name}"), value));
            }
        }
    }
    pairs
}

/// `/proc/net/stat/*`: names, then a line of hexadecimal numbers for each CPU. The sum over all CPUs.
pub fn parse_per_cpu(text: &str) -> Vec<(String, u64)> {
    let mut lines = text.lines();
    let Some(names) = lines.next() else { return Vec::new() };
    let mut sums: Vec<(String, u64)> = names.split_whitespace().map(|name| (name.to_owned(), 0)).collect();
    for line in lines {
        for ((_, sum), value) in sums.iter_mut().zip(hexadecimal(line)) {
            *sum = sum.saturating_add(value);
        }
    }
    sums
}

/// `/proc/net/softnet_stat`: a line for each CPU without names; the first three columns are known.
pub fn parse_softnet(text: &str) -> [u64; 3] {
    let mut sums = [0_u64; 3];
    for line in text.lines() {
        for (sum, value) in sums.iter_mut().zip(hexadecimal(line)) {
            *sum = sum.saturating_add(value);
        }
    }
    sums
}

fn hexadecimal(line: &str) -> impl Iterator<Item = u64> {
    line.split_whitespace().map(|word| u64::from_str_radix(word, 16).unwrap_or(0))
}

/// `/proc/stat`: the ticks of all CPUs together: user, nice, system, idle, iowait, irq, softirq, steal.
pub fn parse_cpu(text: &str) -> [u64; 8] {
    let mut ticks = [0; 8];
    let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    for (tick, word) in ticks.iter_mut().zip(line.split_whitespace()) {
        *tick = word.parse().unwrap_or(0);
    }
    ticks
}

/// The number behind `name` in lines such as `oom_kill 3`.
pub fn parse_named(text: &str, name: &str) -> Option<u64> {
    let is_it = |line: &&str| line.split_whitespace().next() == Some(name);
    text.lines().find(is_it)?.split_whitespace().nth(1)?.parse().ok()
}

/// The microseconds that someone waited, of a file such as `/proc/pressure/memory`.
pub fn parse_pressure(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// State, and the milliseconds of CPU so far, of a process: fields 3, 14 and 15 of its `stat`.
pub fn parse_process(stat: &str, ticks_per_second: u64) -> Option<(char, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut words = after_name.split_whitespace();
    let state = words.next()?.chars().next()?;
    let user: u64 = words.nth(10)?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    Some((state, user.saturating_add(system).saturating_mul(1000) / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired_by_protocol() {
        let text = "Tcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 7\nTcpExt: ListenDrops\nTcpExt: 3\n";
        let expected = [("Tcp.RtoMin", 200), ("Tcp.RetransSegs", 7), ("TcpExt.ListenDrops", 3)];
        assert_eq!(parse_pairs(text), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn cpus_are_added_up() {
        let text = "entries  insert_failed drop\n0000000a 00000001 00000000\n0000000a 00000010 00000002\n";
        let expected = [("entries", 20), ("insert_failed", 17), ("drop", 2)];
        assert_eq!(parse_per_cpu(text), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(parse_softnet("0000000a 00000001 00000002 0\n00000001 00000001 00000001 0\n"), [11, 2, 3]);
    }

    #[test]
    fn a_process_is_read_past_its_name() {
        let stat = "7 (a) b (c)) T 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99 0";
        assert_eq!(parse_process(stat, 100), Some(('T', 2000)));
    }

    #[test]
    fn single_numbers_are_found_by_name() {
        assert_eq!(parse_named("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(parse_named("low 0\n", "oom_kill"), None);
        let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=129141\nfull avg10=0.00 total=4\n";
        assert_eq!(parse_pressure(pressure), Some(129_141));
        assert_eq!(parse_cpu("cpu  1 2 3 4 5 6 7 8 9\ncpu0 9 9\n"), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn other_text_gives_nothing() {
        for text in ["", "x", "a:\nb", "cpu", "Tcp: a\n"] {
            parse_pairs(text);
            parse_per_cpu(text);
            parse_softnet(text);
            parse_cpu(text);
            assert_eq!(parse_process(text, 0), None);
        }
    }
}
