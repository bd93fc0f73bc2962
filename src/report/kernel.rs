//! What the kernel counted of the whole machine and of all the lab's namespaces. Pure.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::whole;
use crate::account::Account;
use crate::event::Moment;
use crate::observe::names;
use crate::plan::Plan;

/// Where the figures of the whole machine's memory come from.
const MEMORY_SOURCE: &str = "the whole machine: Slab, KernelStack, PageTables, VmallocUsed and Percpu in /proc/meminfo, \
     so whatever else grew or shrank meanwhile is in it";

/// What the kernel counted, before the ramp, at the peak, and after the drain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// TCP sockets in use in all namespaces of the lab, before the ramp: the listeners.
    pub sockets_before: Option<u64>,
    /// TCP sockets in use when all connections were open: both ends of each, and the listeners.
    pub sockets_peak: Option<u64>,
    /// TCP sockets in use after the drain.
    pub sockets_after_drain: Option<u64>,
    /// Sockets in TIME-WAIT after the drain.
    pub time_wait_after_drain: Option<u64>,
    /// TCP sockets of others on the same machine before the ramp: of another lab, of a server.
    pub other_sockets_before: Option<u64>,
    /// The same at its most, from before the ramp until the peak.
    pub other_sockets_most: Option<u64>,
    /// Open files of the whole machine at the peak.
    pub files_open_peak: Option<u64>,
    /// Memory that the kernel of the whole machine used for itself before the ramp.
    pub bytes_before: Option<u64>,
    /// Memory that the kernel of the whole machine used for itself at the peak.
    pub bytes_peak: Option<u64>,
    /// The growth between the two, for each connection: both ends, the tables, and whatever else the machine did
    /// meanwhile. Null where others opened or closed connections beside.
    pub bytes_per_connection: Option<f64>,
    /// Where these figures of the kernel's memory come from.
    pub memory_source: Cow<'static, str>,
}

pub fn counted(plan: &Plan, account: &Account) -> Kernel {
    let at = |moment| whole::sample(plan, account, moment);
    let (before, peak, drained) = (at(Moment::Before), at(Moment::Peak), at(Moment::Drained));
    Kernel {
        sockets_before: before.map(|sample| sample.tcp_in_use()),
        sockets_peak: peak.map(|sample| sample.tcp_in_use()),
        sockets_after_drain: drained.map(|sample| sample.tcp_in_use()),
        time_wait_after_drain: drained.map(|sample| sample.time_wait()),
        other_sockets_before: before.and_then(|sample| sample.level(names::HOST, names::OTHER_SOCKETS)),
        other_sockets_most: peak.and(account.others_most),
        files_open_peak: peak.and_then(|sample| sample.level(names::HOST, names::FILES_OPEN)),
        bytes_before: before.map(|sample| sample.kernel_bytes()),
        bytes_peak: peak.map(|sample| sample.kernel_bytes()),
        bytes_per_connection: None,
        memory_source: MEMORY_SOURCE.into(),
    }
}
