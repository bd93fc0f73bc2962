//! The processors that a lab uses are those that its runner may use.

mod common;

use common::*;
use rustix::thread::CpuSet;

/// Those that this thread may use.
fn usable() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).expect("an affinity");
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// As under `taskset -c CPU`: a process has the affinity of the thread that starts it.
fn on_cpu<T: Send>(cpu: usize, what: impl FnOnce() -> T + Send) -> T {
    let work = || {
        let mut set = CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).expect("taking one processor");
        what()
    };
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

fn allowed(pid: u32) -> String {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).expect("an agent"), "Cpus_allowed_list")
}

#[test]
fn a_lab_on_the_last_processor_pins_its_agents_there() {
    need_root();
    let last = *usable().last().expect("a processor");
    assert!(last > 0, "this test needs a second processor: on the first one anything would pass");
    let lab = TestLab::new("last-cpu");
    let text = "connections: 2K\nhold: 0s\nlimits: {server: {cpus: 1}, client: {cpus: 1}}";
    let mut kept = on_cpu(last, || lab.keep(text));
    let agents = kept.agents();
    assert!(agents.len() >= 2, "{agents:?}");
    for pid in agents {
        assert_eq!(allowed(pid), last.to_string(), "process {pid} left the runner's processors");
    }
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
    lab.assert_gone();
}

#[test]
fn a_plan_counts_the_processors_that_can_be_used() {
    let last = *usable().last().expect("a processor");
    let output = on_cpu(last, || run(&["check", "--json"]));
    let host: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let host = &host["host"];
    assert_eq!(host["machine_cpus"], 1, "{host:#}");
    assert_eq!(host["cpus"], serde_json::json!([last]), "{host:#}");
}
