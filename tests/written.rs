//! What a run writes, in folders that belong to somebody else: no link leads root elsewhere, nothing but an ordinary
//! file is replaced, and what is made belongs to whoever called sudo.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use common::*;
use rustix::fs::{CWD, FileType, Mode};

/// Who calls sudo.
const USER: u32 = 4711;

const LAB: &str = "connections: 200\nhold: 0s\n";
/// Everything that is written into a run's folder.
const NAMES: [&str; 3] = ["plan.json", "events.jsonl", "report.json"];

/// A lab in a folder of an ordinary user, beside a file of root's.
struct Place {
    lab: TestLab,
    file: String,
    /// Which only root may write to.
    precious: PathBuf,
    /// The user's.
    home: PathBuf,
}

impl Place {
    fn new(what: &str) -> Place {
        let lab = TestLab::new(what);
        let (file, precious, home) = (lab.file(LAB), lab.folder.join("precious"), lab.folder.join("home"));
        fs::write(&precious, "precious").expect("a file");
        let place = Place { lab, file, precious, home };
        place.folder("");
        place.folder("out");
        place
    }

    /// A folder of the user's.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir(&path).expect("a folder");
        chown(&path, Some(USER), Some(USER)).expect("root gives it away");
        path
    }

    /// A link of the user's.
    fn link(&self, target: &Path, name: &str) {
        let link = self.home.join(name);
        symlink(target, &link).expect("a link");
        lchown(&link, Some(USER), Some(USER)).expect("root gives it away");
    }

    /// As sudo runs it, in the user's folder.
    fn sudo(&self, arguments: &[&str]) -> Output {
        let mut command = c1m_lab(&[&["up", self.file.as_str()], arguments].concat());
        let user = USER.to_string();
        command.current_dir(&self.home).env("SUDO_UID", &user).env("SUDO_GID", &user);
        command.output().expect("c1m-lab runs")
    }

    /// Refused before anything is built, with a remedy; and nothing of root's has changed.
    fn refuses(&self, arguments: &[&str], why: &str) {
        let output = self.sudo(arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(why) && told.contains("help: name another"), "{arguments:?}: {told}");
        self.unchanged();
        self.lab.assert_gone();
    }

    fn unchanged(&self) {
        assert_eq!(fs::read_to_string(&self.precious).expect("the file"), "precious");
        assert_eq!(fs::metadata(&self.precious).expect("the file").uid(), 0);
    }
}

fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

#[test]
fn links_in_the_folder_are_not_written_through() {
    need_root();
    let place = Place::new("links");
    for name in NAMES {
        let name = format!("out/{name}");
        let path = place.home.join(&name);
        let nowhere = place.lab.folder.join("nowhere");
        for target in [&place.precious, &nowhere] {
            place.link(target, &name);
            place.refuses(&["--out", "out"], "a symbolic link of that name is in the way");
            assert!(!nowhere.exists());
            fs::remove_file(&path).expect("the link is still there");
        }
        fs::hard_link(&place.precious, &path).expect("a link");
        place.refuses(&["--out", "out"], "other names too");
        fs::remove_file(&path).expect("the link is still there");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        place.refuses(&["--out", "out"], "a named pipe");
        fs::remove_file(&path).expect("the pipe is still there");
        fs::create_dir(&path).expect("a folder");
        place.refuses(&["--out", "out"], "a folder of that name");
        fs::remove_dir(&path).expect("the folder is still there");
        fs::write(&path, "another's").expect("a file");
        chown(&path, Some(USER + 1), None).expect("root gives it away");
        place.refuses(&["--out", "out"], &format!("a file of user {}", USER + 1));
        fs::remove_file(&path).expect("the file is still there");
    }
    // With nothing in the way the run goes on, and again with its own files there.
    for _ in 0..2 {
        assert_done(&place.sudo(&["--out", "out"]));
        for name in NAMES {
            assert_eq!(fs::metadata(place.home.join("out").join(name)).expect("a file").uid(), USER);
        }
    }
    assert_eq!(names(&place.home.join("out").display().to_string()).len(), NAMES.len());
}

#[test]
fn links_on_the_way_to_the_folder_are_not_followed() {
    need_root();
    let place = Place::new("way");
    let roots = place.lab.folder.join("roots");
    fs::create_dir(&roots).expect("a folder");
    for (link, out) in [("link", "link"), ("link", "link/new"), ("out/link", "out/link/new")] {
        place.link(&roots, link);
        place.refuses(&["--out", out], "is a link, and user 4711 decides where it leads");
        fs::remove_file(place.home.join(link)).expect("the link is still there");
    }
    // Where runs go by themselves.
    place.link(&roots, "runs");
    place.refuses(&[], "decides where it leads");
    assert_eq!(names(&roots.display().to_string()), [""; 0]);
}

#[test]
fn what_is_made_belongs_to_the_user() {
    need_root();
    let place = Place::new("made");
    assert_done(&place.sudo(&["--junit", "results/one/junit.xml"]));
    let mut left = vec![place.home.clone()];
    let mut files = 0;
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).expect("it is there");
        assert_eq!((meta.uid(), meta.gid()), (USER, USER), "{}", path.display());
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else {
            files += 1;
        }
    }
    assert_eq!(files, NAMES.len() + 1);
}

#[test]
fn the_junit_file_is_written_as_carefully() {
    need_root();
    let place = Place::new("junit");
    place.link(&place.precious, "junit.xml");
    place.refuses(&["--junit", "junit.xml"], "a symbolic link of that name is in the way");
    fs::remove_file(place.home.join("junit.xml")).expect("the link is still there");
    fs::hard_link(&place.precious, place.home.join("junit.xml")).expect("a link");
    place.refuses(&["--junit", "junit.xml"], "other names too");
    let roots = place.lab.folder.join("roots");
    fs::create_dir(&roots).expect("a folder");
    place.link(&roots, "results");
    place.refuses(&["--junit", "results/junit.xml"], "decides where it leads");
    assert_eq!(names(&roots.display().to_string()), [""; 0]);
}

#[test]
fn a_refused_run_leaves_no_empty_folder() {
    need_root();
    let place = Place::new("empty");
    let before = names(&place.home.display().to_string());
    let _kept = place.lab.keep(LAB);
    for arguments in [&[][..], &["--out", "one/two/three"]] {
        let output = place.sudo(arguments);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(names(&place.home.display().to_string()), before, "{}", stderr(&output));
    }
    // A folder that was there stays.
    place.folder("runs");
    assert_eq!(place.sudo(&[]).status.code(), Some(3));
    assert_eq!(names(&place.home.join("runs").display().to_string()), [""; 0]);
}

#[test]
fn nothing_in_the_way_of_the_journal_is_written_to() {
    need_root();
    let place = Place::new("journal");
    let folder = Path::new("/run/c1m-lab").join(&place.lab.name);
    for (name, in_the_way) in
        [("journal.jsonl", "link"), ("journal.jsonl", "second"), ("lock", "link"), ("lock", "pipe")]
    {
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        match in_the_way {
            "link" => symlink(&place.precious, &path).expect("a link"),
            "second" => fs::hard_link(&place.precious, &path).unwrap_or_else(|_| {
                // On another file system there is no such name.
                symlink(&place.precious, &path).expect("a link");
            }),
            _ => rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe"),
        }
        let output = place.sudo(&[]);
        assert_eq!(output.status.code(), Some(3), "{name}, {in_the_way}: {}", stderr(&output));
        place.unchanged();
        fs::remove_dir_all(&folder).expect("it is still there");
    }
    // The folder itself.
    let roots = place.lab.folder.join("roots");
    fs::create_dir(&roots).expect("a folder");
    chown(&roots, Some(USER), None).expect("root gives it away");
    symlink(&roots, &folder).expect("a link");
    let output = place.sudo(&[]);
    fs::remove_file(&folder).expect("the link is still there");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(names(&roots.display().to_string()), [""; 0]);
}
