//! Where a record comes from: its format, when and by which version the run was made, of which lab file, on which machine.

use std::path::Path;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::host::virtualization;
use crate::kernel::cgroup::Version;
use crate::spec::Source;
use crate::units::Utc;

/// The number of the form that `plan.json`, `events.jsonl` and `report.json` have. Another number: this version of
/// c1m-lab cannot read them. A new field that a reader may miss does not change it.
pub const FORMAT: u64 = 1;

/// What each file of a run begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The number of this file's form: 1.
    pub format: u64,
    /// When the run began, in UTC (RFC 3339).
    pub began: Utc,
    /// The version of c1m-lab that made the run.
    pub version: String,
    /// The lab file of the run.
    pub lab_file: LabFile,
    /// The machine that c1m-lab ran on.
    pub machine: Machine,
}

/// A lab file, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabFile {
    /// Its path, as it was given.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The arguments that replaced values of it, such as `--set clients.count=4`, in the order in which they did.
    pub overrides: Vec<String>,
}

/// A machine, with what it allows a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The release of its kernel.
    pub kernel: String,
    /// The processors' architecture, such as `x86_64`.
    pub architecture: String,
    /// What the processor calls itself.
    pub processor: Option<String>,
    /// Processors that c1m-lab may use.
    pub processors: u32,
    /// All its memory, in bytes.
    pub memory_bytes: u64,
    /// The hypervisor whose signs were seen: `kvm`, `qemu`, `xen` and others, or `unknown`.
    pub hypervisor: Option<String>,
    /// What made the container that c1m-lab ran in, where there are signs of one.
    pub container: Option<String>,
    /// The version of the cgroups that count memory: 1, 2, or null without such.
    pub cgroup_version: Option<u8>,
    /// What it allows.
    pub limits: Limits,
}

/// What a machine allows a process, and all processes together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Descriptors of one process, its soft limit; 18446744073709551615: no limit.
    pub nofile_soft: u64,
    /// The same, its hard limit.
    pub nofile_hard: u64,
    /// The most that the hard limit may become (`fs.nr_open`).
    pub nr_open: Option<u64>,
    /// Open files of the whole machine (`fs.file-max`).
    pub file_max: Option<u64>,
    /// Pages of memory that TCP may take (`net.ipv4.tcp_mem`, the last of the three).
    pub tcp_memory_pages: Option<u64>,
    /// Processes and threads that there may be, by the lowest limit on them.
    pub tasks: Option<u64>,
    /// Memory that the cgroup of c1m-lab allows, in bytes; null: as much as the machine has.
    pub cgroup_memory_bytes: Option<u64>,
}

impl Default for Origin {
    fn default() -> Self {
        Origin {
            format: FORMAT,
            began: Utc::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lab_file: LabFile::default(),
            machine: Machine::default(),
        }
    }
}

impl LabFile {
    /// `fit`: the number of connections was chosen by what there is room for.
    pub fn of(source: &Source, fit: bool) -> LabFile {
        let (path, text) = source.file();
        let fit = fit.then(|| "--connections fit".to_owned());
        LabFile {
            path: path.to_owned(),
            text: text.to_owned(),
            overrides: source.arguments().chain(fit).collect(),
        }
    }
}

impl Machine {
    /// This machine.
    pub fn of(host: &Host) -> Machine {
        let seen = virtualization::read_from(Path::new("/"));
        Machine {
            kernel: host.kernel.clone(),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: seen.processor,
            processors: host.machine_cpus,
            memory_bytes: host.memory.total,
            hypervisor: seen.hypervisor,
            container: seen.container,
            cgroup_version: match host.cgroup.version {
                Version::None => None,
                Version::V1 => Some(1),
                Version::V2 => Some(2),
            },
            limits: Limits {
                nofile_soft: host.nofile.soft,
                nofile_hard: host.nofile.hard,
                nr_open: host.number("fs.nr_open"),
                file_max: host.number("fs.file-max"),
                tcp_memory_pages: host.triple("net.ipv4.tcp_mem").map(|[_, _, most]| most),
                tasks: host.tasks.iter().map(|limit| limit.most).min(),
                cgroup_memory_bytes: host.cgroup.memory_limit,
            },
        }
    }
}

/// The beginning of a run: what its files say of it, and the moment that their times count from.
#[derive(Clone, Debug)]
pub struct Beginning {
    pub origin: Origin,
    pub at: Instant,
}

impl Beginning {
    /// It begins now.
    pub fn now(lab_file: LabFile, host: &Host) -> Beginning {
        let origin = Origin { began: Utc::now(), lab_file, machine: Machine::of(host), ..Origin::default() };
        Beginning { origin, at: Instant::now() }
    }
}
