//! Processes that the kernel ended because the machine had no memory left: its own line about each.
//!
//! A pid is used again, and the log keeps lines for days. So only what the log says after a process was started is
//! about it. And the log has the pids of the machine: in another pid namespace, as in a container, it says nothing
//! about a process that could be known.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A record of the kernel's log is at most so long.
const LONGEST_RECORD: usize = 8192;

/// The machine's own pid namespace: this number is fixed in the kernel.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// A place in the kernel's log: what is said from here on is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// Records are numbered from 0 at each boot.
    boot: String,
    next: u64,
}

/// The log as far as it was read, so that the next mark costs little.
static READ: Mutex<Option<(File, u64)>> = Mutex::new(None);

/// The end of the kernel's log. None: it cannot be read here, or its pids are not those of this process.
pub fn mark() -> Option<LogMark> {
    if !has_the_pids_of_the_log() {
        return None;
    }
    let read = &mut *READ.lock().unwrap_or_else(PoisonError::into_inner);
    if read.is_none() {
        *read = Some((open().ok()?, 0));
    }
    let (log, next) = read.as_mut()?;
    each_record(log, |record| {
        *next = number(record).map_or(*next, |number| number + 1);
        ControlFlow::Continue(())
    })
    .ok()?;
    Some(LogMark { boot: super::boot_id(), next: *next })
}

/// The kernel's line about the process that it ended, with its time since the start. None: it says nothing of
/// this one, or only root may read its log.
pub fn line_about(pid: u32, since: &LogMark) -> Option<String> {
    if since.boot != super::boot_id() || !has_the_pids_of_the_log() {
        return None;
    }
    let mut line = None;
    let looked = each_record(&mut open().ok()?, |record| {
        line = kill_line(record, pid, since.next);
        if line.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    looked.ok().and(line)
}

fn has_the_pids_of_the_log() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == FIRST_PID_NAMESPACE)
}

fn open() -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options().read(true).custom_flags(nonblocking).open("/dev/kmsg")
}

/// Each read gives one record, until there is no more.
fn each_record(log: &mut File, mut see: impl FnMut(&str) -> ControlFlow<()>) -> io::Result<()> {
    let mut record = vec![0; LONGEST_RECORD];
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                if see(&String::from_utf8_lossy(&record[..length])).is_break() {
                    return Ok(());
                }
            }
            // The record was overwritten by newer ones before it was read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn number(record: &str) -> Option<u64> {
    record.split(',').nth(1)?.parse().ok()
}

/// `3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) …`: facility and priority, number,
/// microseconds since the start, flags; text. Lines that a program wrote into the log have another facility than the
/// kernel's, which is 0.
fn kill_line(record: &str, pid: u32, from: u64) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let mut head = head.split(',').map(|word| word.parse::<u64>().ok());
    let (priority, number, micros) = (head.next()??, head.next()??, head.next()??);
    if priority >> 3 != 0 || number < from {
        return None;
    }
    let about = format!("Killed process {pid} (");
    let text = text.lines().next().filter(|text| text.contains(&about))?;
    Some(format!("[{}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they stood in the logs of a machine without memory, and of one with a limit in a cgroup.
    const OLD: &str = "3,871,98406143,-;Out of memory: Killed process 612 (stress-ng-vm) total-vm:6346996kB, \
                       anon-rss:5898240kB, file-rss:1280kB, shmem-rss:32kB, UID:1000 pgtables:11624kB oom_score_adj:1000";
    const BEFORE: &str = "6,1044,298406121,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
                          global_oom,task_memcg=/user.slice/session-1.scope,task=c1m-lab-reactor,pid=612,uid=65534";
    const KILLED: &str = "3,1045,298406143,-;Out of memory: Killed process 612 (c1m-lab-reactor) total-vm:9264kB, \
                          anon-rss:4224kB, file-rss:1152kB, shmem-rss:0kB, UID:65534 pgtables:56kB oom_score_adj:1000\n SUBSYSTEM=x";
    const LIMITED: &str = "3,1046,298506143,-;Memory cgroup out of memory: Killed process 613 (c1m-lab-swarm) \
                           total-vm:9264kB, anon-rss:4224kB, file-rss:1152kB, shmem-rss:0kB, UID:65534 pgtables:56kB oom_score_adj:1000";
    const OTHER: &str = "6,1047,298506150,-;eth0: link up";
    /// `echo '<3>…' > /dev/kmsg`: a program's facility is never the kernel's.
    const WRITTEN: &str =
        "11,1048,298506160,-;Out of memory: Killed process 614 (c1m-lab-swarm) total-vm:1kB";

    fn said(pid: u32, from: u64) -> Option<String> {
        [OLD, BEFORE, KILLED, LIMITED, OTHER, WRITTEN].iter().find_map(|record| kill_line(record, pid, from))
    }

    #[test]
    fn the_line_about_a_process_is_known() {
        let told = said(612, 900).expect("a line");
        assert!(
            told.starts_with("[298.406143] Out of memory: Killed process 612 (c1m-lab-reactor)"),
            "{told}"
        );
        assert!(told.ends_with("oom_score_adj:1000"), "{told}");
        assert!(said(613, 900).is_some_and(|told| told.contains("Memory cgroup out of memory")));
        assert_eq!((said(61, 900), said(6120, 900)), (None, None));
    }

    #[test]
    fn an_old_line_is_not_about_a_new_process_with_that_pid() {
        assert!(said(612, 0).is_some_and(|told| told.contains("stress-ng-vm")));
        assert!(said(612, 872).is_some_and(|told| told.contains("c1m-lab-reactor")));
        assert_eq!(said(612, 1046), None);
    }

    #[test]
    fn what_a_program_wrote_into_the_log_is_not_the_kernels_word() {
        assert_eq!(said(614, 0), None);
    }

    #[test]
    fn what_is_no_record_says_nothing() {
        for text in ["", ";", "3", "3,x,1,-;Killed process 612 (x)", "3,1;Killed process 612 (x)"] {
            assert_eq!(kill_line(text, 612, 0), None, "{text}");
        }
    }

    #[test]
    fn another_boot_has_another_log() {
        let elsewhere = LogMark { boot: "another".to_owned(), next: 0 };
        assert_eq!(line_about(1, &elsewhere), None);
    }

    #[test]
    fn marks_only_go_on() {
        // Without root, or in a container, there is none.
        let marks = (mark(), mark());
        if let (Some(first), Some(second)) = marks {
            assert!(first.boot == second.boot && first.next <= second.next, "{first:?} {second:?}");
        }
    }
}
