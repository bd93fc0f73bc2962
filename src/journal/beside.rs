//! This host beside the labs that stand on it: what they have planned, how much of it they use, what they moved.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use super::{Change, Header, Standing, labs, look, moved_by_others};
use crate::host::{self, Host, InUse, Neighbour};
use crate::kernel::proc::{self, parse_sockstat};
use crate::kernel::sysctl::same;

/// This host as it will be when the labs that run now have all they have planned.
pub fn host() -> Host {
    let mut host = host::read();
    for lab in labs() {
        let (header, standing) = look(&lab);
        // Whoever is not running takes nothing more.
        let Some(header) = header.filter(Header::is_running) else { continue };
        host.routes.extend(&header.subnets);
        let Some(planned) = header.planned else { continue };
        let unused = planned.unused(&in_use(&standing));
        host.files_open = host.files_open.saturating_add(unused.files);
        host.others.push(Neighbour { lab, planned: planned.whole(), unused });
    }
    without_moves(&mut host);
    host
}

/// What another lab has raised goes back with it: nothing can be planned on it. What one has lowered holds.
fn without_moves(host: &mut Host) {
    for moved in moved_by_others("") {
        let Some(now) = host.settings.get_mut(&moved.key) else { continue };
        if !moved.is_lower() && same(now, &moved.during) {
            *now = moved.before.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }
}

/// Of processes and files in `/proc` that every user may read. What cannot be read counts as not used yet.
fn in_use(standing: &[Standing]) -> InUse {
    let mut in_use = InUse::default();
    let mut seen = BTreeSet::new();
    for one in standing {
        match &one.change {
            Change::Process { pid, start_time, .. } if proc::is_alive(*pid, *start_time) => {
                in_use.agents += 1;
                in_use.sockets += sockets_beside(*pid, &mut seen);
            }
            Change::Namespace { .. } => in_use.built |= one.certain,
            _ => {}
        }
    }
    in_use
}

/// The TCP sockets of the namespace that the process is in; none, if it was counted before. The kernel makes these
/// files anew for each namespace, so their inode tells which one it is.
fn sockets_beside(pid: u32, seen: &mut BTreeSet<u64>) -> u64 {
    let path = format!("/proc/{pid}/net/sockstat");
    let Ok(inode) = std::fs::metadata(&path).map(|meta| meta.ino()) else { return 0 };
    if !seen.insert(inode) {
        return 0;
    }
    proc::read_text(&path).map_or(0, |text| parse_sockstat(&text).tcp_inuse)
}
