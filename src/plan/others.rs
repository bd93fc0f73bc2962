//! What a refusal says of the labs that run beside this one. Pure.

use crate::host::{Host, Neighbour};
use crate::units::{grouped, human_bytes};

/// What is told of other labs' memory, after what is available. Nothing, where there are none.
pub fn memory_beside(host: &Host) -> String {
    beside(&host.others, |lab| {
        let (planned, unused) = (human_bytes(lab.planned.memory), human_bytes(lab.unused.memory));
        format!("has planned {planned}, of which {unused} are not in use yet")
    })
}

/// The same of open files.
pub fn files_beside(host: &Host) -> String {
    beside(&host.others, |lab| {
        let (planned, unused) = (grouped(lab.planned.files), grouped(lab.unused.files));
        format!("has planned {planned}, of which {unused} are not open yet")
    })
}

/// What helps besides, where other labs are in the way.
pub fn remedy_beside(host: &Host, alone: &str) -> String {
    match host.others.iter().max_by_key(|lab| lab.unused.memory) {
        None => alone.to_owned(),
        Some(lab) => with_end_of(lab, alone),
    }
}

/// `alone`, or the end of that lab.
pub fn with_end_of(lab: &Neighbour, alone: &str) -> String {
    format!("{alone}; or wait until the lab `{0}` has ended, or end it: `c1m-lab down {0}`", lab.lab)
}

/// More than these are not told one by one.
const TOLD: usize = 3;

/// `told`: what is said of each.
pub fn beside(others: &[Neighbour], told: impl Fn(&Neighbour) -> String) -> String {
    let mut text = String::new();
    for lab in others.iter().take(TOLD) {
        text += &format!("; the lab `{}` {}", lab.lab, told(lab));
    }
    if others.len() > TOLD {
        text += &format!("; and {} labs more", others.len() - TOLD);
    }
    text
}
