//! How long this machine took a processor away while a test ran: a crowded hypervisor does, and says nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const EVERY: Duration = Duration::from_millis(5);

/// A watcher on each processor, which should wake every few milliseconds.
pub struct Pauses {
    over: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<Duration>>,
}

impl Pauses {
    pub fn watch() -> Pauses {
        let over = Arc::new(AtomicBool::new(false));
        let all = sched_getaffinity(None).expect("the processors of this process");
        let processors = (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor));
        let watchers = processors.map(|processor| std::thread::spawn(watcher(processor, over.clone())));
        Pauses { watchers: watchers.collect(), over }
    }

    /// The longest time that a watcher could not run, though it shares its processor fairly.
    pub fn longest(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        let longest = self.watchers.into_iter().map(|watcher| watcher.join().expect("it only sleeps"));
        longest.max().unwrap_or_default()
    }
}

fn watcher(processor: usize, over: Arc<AtomicBool>) -> impl FnOnce() -> Duration {
    move || {
        let mut own = CpuSet::new();
        own.set(processor);
        sched_setaffinity(None, &own).expect("a processor of this process");
        let mut longest = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            let before = Instant::now();
            std::thread::sleep(EVERY);
            longest = longest.max(before.elapsed() - EVERY);
        }
        longest
    }
}
