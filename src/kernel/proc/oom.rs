//! Processes that the kernel ended because the machine had no memory left.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use serde::{Deserialize, Serialize};

/// A record of the kernel's log is at most so long.
const LONGEST_RECORD: usize = 8192;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// Since the machine was started.
    pub kills: u64,
    /// The kernel's line about the last of them, with its time since the start; only root may read it.
    pub last: Option<String>,
}

/// None: this kernel does not count them.
pub fn oom() -> Option<Oom> {
    let kills = parse_oom_kills(&super::read_text("/proc/vmstat").ok()?)?;
    let last = if kills > 0 { last_line().ok().flatten() } else { None };
    Some(Oom { kills, last })
}

pub fn parse_oom_kills(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Each read gives one record, until there is no more.
fn last_line() -> io::Result<Option<String>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut log = File::options().read(true).custom_flags(nonblocking).open("/dev/kmsg")?;
    let (mut record, mut last) = (vec![0; LONGEST_RECORD], None);
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(last),
            Ok(length) => last = parse_kill(&String::from_utf8_lossy(&record[..length])).or(last),
            // The record was overwritten by newer ones before it was read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(last),
            Err(error) => return Err(error),
        }
    }
}

/// `3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) …`: priority, number, microseconds
/// since the start, flags; text.
pub fn parse_kill(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let text = text.lines().next().filter(|text| text.contains("Killed process"))?;
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    Some(format!("[{}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_and_named() {
        assert_eq!(parse_oom_kills("nr_free_pages 1\noom_kill 3\nnuma_hit 2\n"), Some(3));
        assert_eq!(parse_oom_kills("nr_free_pages 1\n"), None);
        let record = "3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) total-vm:1kB\n SUBSYSTEM=x";
        let told = "[298.406143] Out of memory: Killed process 612 (c1m-lab-reactor) total-vm:1kB";
        assert_eq!(parse_kill(record).as_deref(), Some(told));
        assert_eq!(parse_kill("6,1,2,-;eth0: link up"), None);
    }
}
