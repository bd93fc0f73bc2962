//! What others made survives: whatever it is called, and whether it was there before the lab or came later.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;
#[path = "common/strangers.rs"]
mod strangers;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::*;
use serde_json::{Value, json};
use snapshot::*;
use strangers::*;

const LAB: &str = "connections: 400\nserver: {ports: 9900-9909}\nclients: {count: 2}\nhold: 0s\n";

fn assert_goes_down(lab: &TestLab) {
    let down = run(&["down", &lab.name]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    assert!(!folder(lab).exists(), "the folder is left");
}

fn end(kept: &mut Kept) {
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
}

fn file(lab: &TestLab, name: &str) -> Value {
    let text = std::fs::read_to_string(lab.folder.join("out").join(name)).expect(name);
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_name_that_is_taken_is_refused() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-taken");
    let mut sleeper = Sleeper::new(&lab);
    let namespace = Stranger::new(&format!("c1m-{}-client-1", lab.name));
    let before = Snapshot::take(&[&lab.folder]);
    let was = setting();
    let text = format!("{LAB}sysctl: {{host: {{{SETTING}: {}}}}}\n", was + 1000);
    let refused = run(&["up", &lab.file(&text), "--out", &lab.out()]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(&namespace.0), "{}", stderr(&refused));
    assert!(sleeper.is_alive());
    // What was begun is reported all the same: nothing was tried, and what was moved is back.
    let report = file(&lab, "report.json");
    assert_eq!(
        (&report["exit"], &report["asked"], &report["untried"]),
        (&3.into(), &400.into(), &400.into())
    );
    assert!(report["broke"].as_str().is_some_and(|why| why.contains(&namespace.0)), "{report:#}");
    let restored = &report["host_settings"][0];
    assert_eq!(
        (&restored["key"], &restored["after"]),
        (&SETTING.into(), &was.to_string().into()),
        "{report:#}"
    );
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn links_and_processes_that_are_called_like_the_labs_survive_it() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-alike");
    let mut sleeper = Sleeper::new(&lab);
    // A pair in the host's own namespace, called like both ends of one of the lab's.
    let _ = Command::new("ip").args(["link", "del", "client-1"]).output();
    ip(&["link", "add", "client-1", "type", "veth", "peer", "name", "client-2"]);
    let before = Snapshot::take(&[&lab.folder]);
    let run = run(&["up", &lab.file(LAB), "--quiet", "--out", &lab.out()]);
    let differences = before.differences_within(&[&lab.folder], Duration::from_secs(3));
    ip(&["link", "del", "client-1"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(differences.is_empty(), "{differences:?}");
    assert!(sleeper.is_alive());
}

#[test]
fn a_cgroup_that_is_there_already_is_refused() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-group");
    if !can_limit_memory(&lab, "decoys: a_cgroup_that_is_there_already_is_refused") {
        return;
    }
    let text = format!("{LAB}limits: {{server: {{memory: 512MiB}}}}\n");
    let mut kept = lab.keep(&text);
    let journal = std::fs::read_to_string(folder(&lab).join("journal.jsonl")).expect("a journal");
    let mut changes = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let group = changes.rfind(|line| line["made"]["what"] == "cgroup").expect("a cgroup");
    let group = group["made"]["path"].as_str().expect("a path").to_owned();
    end(&mut kept);
    std::fs::create_dir(&group).expect("the place is free again");
    let refused = run(&["up", &lab.file(&text), "--out", &lab.out()]);
    let survives = Path::new(&group).exists();
    let _ = std::fs::remove_dir(&group);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(&group) && survives, "{}", stderr(&refused));
    lab.assert_gone();
}

#[test]
fn namespaces_that_came_during_the_run_survive_it() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-during");
    let before = Snapshot::take(&[&lab.folder]);
    let mut kept = lab.keep(LAB);
    let name = |node: &str| format!("c1m-{}-{node}", lab.name);
    ip(&["netns", "del", &name("client-1")]);
    let strangers = [Stranger::new(&name("client-1")), Stranger::new(&name("client-9"))];
    let identities = strangers.each_ref().map(Stranger::identity);
    end(&mut kept);
    assert_eq!(strangers.each_ref().map(Stranger::identity), identities);
    assert_eq!(file(&lab, "report.json")["left_behind"], json!([]));
    drop(strangers);
    before.assert_unchanged(&[&lab.folder]);
    lab.assert_gone();
}

#[test]
fn a_namespace_made_anew_after_its_runner_was_killed_survives() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-anew");
    // The first `ip netns add` after a boot mounts the names' folder anew; here that comes before the lab.
    let _first = Stranger::new(&format!("{}-first", lab.name));
    let mut kept = lab.keep(LAB);
    let agents = kept.agents();
    kept.signal("KILL");
    assert_eq!(kept.ends_with(), None, "it was killed");
    wait_for("the agents", Duration::from_secs(1), || !agents.iter().any(|agent| is_alive(*agent)));
    let name = format!("c1m-{}-client-1", lab.name);
    let before = identity(&name);
    // Nobody is in it any more: with its name the namespace goes, and its number is free for the next one.
    ip(&["netns", "del", &name]);
    let stranger = with_the_number_of(&lab, &name, &before);
    let identity = stranger.identity();
    assert_eq!(identity["inode"], before["inode"], "another number: nothing can be mistaken");
    assert_ne!(identity["since_ns"], before["since_ns"], "it is the lab's own");
    assert_goes_down(&lab);
    assert_eq!(stranger.identity(), identity);
    lab_is_gone_but_for(&lab, &name);
}

/// Makes namespaces until one has the number that this one had, and gives it that one's name.
fn with_the_number_of(lab: &TestLab, name: &str, before: &Value) -> Stranger {
    // The kernel gives the lowest number that is free, and takes back that of a namespace some time after it is gone.
    // What came meanwhile keeps the lower numbers; what came above it goes, so that they do not become many.
    let began = std::time::Instant::now();
    let mut others = Vec::new();
    for place in 0.. {
        let other = Stranger::new(&format!("{}-other-{place}", lab.name));
        if other.identity()["inode"] == before["inode"] {
            return other.renamed(name);
        }
        if other.identity()["inode"].as_u64() < before["inode"].as_u64() {
            others.push(other);
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no namespace has had the number of {before} again"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    unreachable!("it goes on until it is found, or too late")
}

/// Of all its namespaces only the stranger's is left, under that name.
fn lab_is_gone_but_for(lab: &TestLab, name: &str) {
    let own = format!("c1m-{}-", lab.name);
    let left: Vec<String> = names("/run/netns").into_iter().filter(|one| one.starts_with(&own)).collect();
    assert_eq!(left, [name]);
}

#[test]
fn only_what_a_journal_identifies_is_taken_down() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-alien");
    let (mut sleeper, namespace) = (Sleeper::new(&lab), Stranger::new(&format!("c1m-{}-server", lab.name)));
    let (identity, mut alien) = (namespace.identity(), namespace.identity());
    alien["inode"] = (identity["inode"].as_u64().expect("a number") + 1).into();
    let mut elder = identity.clone();
    elder["since_ns"] = (identity["since_ns"].as_i64().expect("a number") - 1).into();
    let before = Snapshot::take(&[&lab.folder]);
    let changes = [
        json!({"what": "process", "name": "swarm 1", "pid": sleeper.0.id(),
               "start_time": sleeper.start_time() - 1}),
        json!({"what": "namespace", "name": namespace.0, "identity": alien}),
        json!({"what": "namespace", "name": namespace.0, "identity": elder}),
        json!({"what": "namespace", "name": namespace.0, "identity": null}),
        json!({"what": "cgroup", "path": "/sys/fs/cgroup", "inode": 0}),
    ];
    // The last line was torn when its runner died: its change was never made.
    let torn = json!({"id": 9, "made": {"what": "namespace", "name": namespace.0, "identity": identity}})
        .to_string();
    write_journal(&lab, &boot_id(), &changes, &torn[..torn.len() - 2]);
    assert_goes_down(&lab);
    assert!(sleeper.is_alive());
    assert_eq!(namespace.identity(), identity);
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn what_a_journal_identifies_goes_down_although_its_last_line_is_torn() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-torn");
    let mut sleeper = Sleeper::new(&lab);
    let namespace = Stranger::new(&format!("c1m-{}-server", lab.name));
    let changes = [
        json!({"what": "process", "name": "swarm 1", "pid": sleeper.0.id(), "start_time": sleeper.start_time()}),
        json!({"what": "namespace", "name": namespace.0, "identity": namespace.identity()}),
    ];
    write_journal(&lab, &boot_id(), &changes, "{\"id\":3,\"intent\":{\"what\":\"na");
    assert_goes_down(&lab);
    assert!(!sleeper.is_alive());
    assert_eq!(namespace.identity(), Value::Null);
}

#[test]
fn nothing_of_before_a_reboot_is_touched() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-boot");
    let (mut sleeper, namespace) = (Sleeper::new(&lab), Stranger::new(&format!("c1m-{}-server", lab.name)));
    let before = Snapshot::take(&[&lab.folder]);
    // What it reads now is not what the lab made it.
    let during = (setting() + 1).to_string();
    let changes = [
        json!({"what": "process", "name": "swarm 1", "pid": sleeper.0.id(), "start_time": sleeper.start_time()}),
        json!({"what": "namespace", "name": namespace.0, "identity": namespace.identity()}),
        json!({"what": "setting", "key": SETTING, "before": "77", "during": during}),
    ];
    write_journal(&lab, "00000000-0000-0000-0000-000000000000", &changes, "");
    assert_goes_down(&lab);
    assert!(sleeper.is_alive());
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn a_setting_that_someone_else_changed_is_left_alone() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("d-setting");
    let was = KeptSetting::now();
    let mut kept = lab.keep(&format!("{LAB}sysctl: {{host: {{{SETTING}: {}}}}}\n", was.0 + 1000));
    assert_eq!(setting(), was.0 + 1000);
    KeptSetting::set(was.0 + 7);
    end(&mut kept);
    assert_eq!(setting(), was.0 + 7);
    let restored = file(&lab, "report.json")["host_settings"][0].clone();
    assert_eq!((&restored["key"], &restored["after"]), (&SETTING.into(), &(was.0 + 7).to_string().into()));
    assert!(restored["note"].as_str().is_some_and(|note| note.contains("left alone")), "{restored}");
}

/// Two labs that raise one setting, and the order in which they end.
fn side_by_side(first_ends_first: bool) {
    need_root();
    let _turn = alone();
    let labs = ["d-left", "d-right"].map(TestLab::new);
    let folders: Vec<&Path> = labs.iter().map(|lab| lab.folder.as_path()).collect();
    let was = KeptSetting::now();
    let before = Snapshot::take(&folders);
    let mut kept: Vec<Kept> = (1..)
        .zip(&labs)
        .map(|(place, lab)| {
            let value = was.0 + 1000 * place;
            lab.keep(&format!("{LAB}sysctl: {{host: {{{SETTING}: {value}}}}}\n"))
        })
        .collect();
    assert_eq!(setting(), was.0 + 2000);
    let [left, right] = labs.each_ref().map(|lab| block(&file(lab, "plan.json")["ends"]["subnets"][0]));
    assert!(left.1 < right.0 || right.1 < left.0, "{left:?} and {right:?} overlap");
    let last = usize::from(first_ends_first);
    end(&mut kept[1 - last]);
    assert!(setting() > was.0, "the other still relies on it");
    end(&mut kept[last]);
    assert_eq!(setting(), was.0);
    for lab in &labs {
        let report = file(lab, "report.json");
        assert_eq!((&report["established"], &report["left_behind"]), (&400.into(), &json!([])), "{report:#}");
    }
    before.assert_unchanged(&folders);
}

/// The first and the last address of a subnet.
fn block(subnet: &Value) -> (u32, u32) {
    let (base, prefix) = subnet.as_str().and_then(|text| text.split_once('/')).expect("a subnet");
    let base: std::net::Ipv4Addr = base.parse().expect("an address");
    let size = 1_u64 << (32 - prefix.parse::<u32>().expect("a prefix"));
    (base.to_bits(), base.to_bits() + (size - 1) as u32)
}

#[test]
fn of_two_labs_side_by_side_the_first_ends_first() {
    side_by_side(true);
}

#[test]
fn of_two_labs_side_by_side_the_second_ends_first() {
    side_by_side(false);
}
