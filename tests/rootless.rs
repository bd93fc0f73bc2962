//! An ordinary user runs the smoke lab: in a user namespace where that is allowed, and else is told why not.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use common::*;
use snapshot::*;

/// Any number but root's will do: it need not have a name.
const USER: u32 = 1000;

fn as_user(program: &Path, arguments: &[&str], lab: &TestLab) -> std::process::Output {
    let user = USER.to_string();
    Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .arg(program)
        .args(arguments)
        .current_dir(&lab.folder)
        .output()
        .expect("setpriv(1) is there")
}

#[test]
fn the_smoke_lab_without_root() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("rootless");
    // The build's own folder may be root's: the user gets copies.
    let binary = lab.folder.join("c1m-lab");
    std::fs::copy(BINARY, &binary).expect("a copy");
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("labs/smoke.yaml");
    let file = lab.folder.join("smoke.yaml");
    std::fs::copy(smoke, &file).expect("a copy");
    for (path, mode) in [(&binary, 0o755), (&file, 0o644), (&lab.folder, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    }
    chown(&lab.folder, Some(USER), Some(USER)).expect("its folder");
    let before = Snapshot::take(&[&lab.folder]);
    let arguments = ["up", "smoke.yaml", "--json", "--out", "out"];
    let output = as_user(&binary, &arguments, &lab);
    let told = stderr(&output);
    println!("{told}");
    let allowed =
        as_user(Path::new("unshare"), &["--user", "--map-root-user", "true"], &lab).status.success();
    if allowed {
        assert_eq!(output.status.code(), Some(0), "{told}");
        let report = serde_json::from_slice(&output.stdout).expect("a report");
        assert_all_established(&output, &report, 10_000);
    } else {
        left_out(
            "rootless: the lab itself",
            "unshare(1) may not make a user namespace either: the refusal was tested",
        );
        assert_eq!(output.status.code(), Some(3), "{told}");
        for part in ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "user namespace", "sudo c1m-lab"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    before.assert_unchanged(&[&lab.folder]);
}
