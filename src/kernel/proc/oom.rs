//! Processes that the kernel ended because the machine had no memory left.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

/// A record of the kernel's log is at most so long.
const LONGEST_RECORD: usize = 8192;

/// The kernel's line about the process that it ended, with its time since the start. None: it says nothing of
/// this one, or only root may read its log.
pub fn line_about(pid: u32) -> Option<String> {
    last_line(pid).ok().flatten()
}

/// Each read gives one record, until there is no more.
fn last_line(pid: u32) -> io::Result<Option<String>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut log = File::options().read(true).custom_flags(nonblocking).open("/dev/kmsg")?;
    let (mut record, mut last) = (vec![0; LONGEST_RECORD], None);
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(last),
            Ok(length) => last = parse_kill(&String::from_utf8_lossy(&record[..length]), pid).or(last),
            // The record was overwritten by newer ones before it was read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(last),
            Err(error) => return Err(error),
        }
    }
}

/// `3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) …`: priority, number, microseconds
/// since the start, flags; text.
fn parse_kill(record: &str, pid: u32) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let about = format!("Killed process {pid} (");
    let text = text.lines().next().filter(|text| text.contains(&about))?;
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    Some(format!("[{}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_about_a_process_is_known() {
        let record = "3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) total-vm:1kB\n SUBSYSTEM=x";
        let told = "[298.406143] Out of memory: Killed process 612 (c1m-lab-reactor) total-vm:1kB";
        assert_eq!(parse_kill(record, 612).as_deref(), Some(told));
        assert_eq!(parse_kill(record, 61), None);
        assert_eq!(parse_kill("6,1,2,-;eth0: link up", 612), None);
    }
}
