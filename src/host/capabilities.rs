//! What root may do, in parts: the effective capabilities of this process.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Each has the number of its bit in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum Capability {
    Chown,
    DacOverride,
    DacReadSearch,
    Fowner,
    Fsetid,
    Kill,
    Setgid,
    Setuid,
    Setpcap,
    LinuxImmutable,
    NetBindService,
    NetBroadcast,
    NetAdmin,
    NetRaw,
    IpcLock,
    IpcOwner,
    SysModule,
    SysRawio,
    SysChroot,
    SysPtrace,
    SysPacct,
    SysAdmin,
    SysBoot,
    SysNice,
    SysResource,
    SysTime,
    SysTtyConfig,
    Mknod,
    Lease,
    AuditWrite,
    AuditControl,
    Setfcap,
    MacOverride,
    MacAdmin,
    Syslog,
    WakeAlarm,
    BlockSuspend,
    AuditRead,
    Perfmon,
    Bpf,
    CheckpointRestore,
}

use Capability::*;

impl Capability {
    #[rustfmt::skip]
    pub const ALL: [Capability; 41] = [
        Chown, DacOverride, DacReadSearch, Fowner, Fsetid, Kill, Setgid, Setuid, Setpcap, LinuxImmutable,
        NetBindService, NetBroadcast, NetAdmin, NetRaw, IpcLock, IpcOwner, SysModule, SysRawio, SysChroot,
        SysPtrace, SysPacct, SysAdmin, SysBoot, SysNice, SysResource, SysTime, SysTtyConfig, Mknod, Lease,
        AuditWrite, AuditControl, Setfcap, MacOverride, MacAdmin, Syslog, WakeAlarm, BlockSuspend, AuditRead,
        Perfmon, Bpf, CheckpointRestore,
    ];

    fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// `CAP_SYS_ADMIN`, as manual pages and `setcap` have it.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP")?;
        for letter in format!("{self:?}").chars() {
            let word_begins = if letter.is_ascii_uppercase() { "_" } else { "" };
            write!(f, "{word_begins}{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

/// A set of capabilities. One that a newer kernel adds and this list does not know is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeSet<Capability>);

impl Capabilities {
    pub fn all() -> Capabilities {
        Capability::ALL.into_iter().collect()
    }

    pub fn from_bits(bits: u64) -> Capabilities {
        Capability::ALL.into_iter().filter(|capability| bits & capability.bit() != 0).collect()
    }

    /// From the `CapEff` line of a `/proc/<pid>/status`.
    pub fn from_status(status: &str) -> Option<Capabilities> {
        let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(bits.trim(), 16).ok().map(Capabilities::from_bits)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    pub fn without(mut self, capability: Capability) -> Capabilities {
        self.0.remove(&capability);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Capabilities(capabilities.into_iter().collect())
    }
}
