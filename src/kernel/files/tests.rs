use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;

/// A folder of its own for each test; removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Place {
        let path = std::env::temp_dir().join(format!("c1m-files-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("precious"), "precious").unwrap();
        fs::create_dir(path.join("out")).unwrap();
        Place(path)
    }

    fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    /// Writing to this name of `out` is refused, and what is there stays.
    fn refuses(&self, name: &str, why: &str) {
        let dir = Dir::open(&self.out()).unwrap();
        let error = dir.write(OsStr::new(name), b"new", None).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
        assert_eq!(fs::read_to_string(self.0.join("precious")).unwrap(), "precious", "{name}");
        assert!(!names(&self.out()).iter().any(|name| name.contains("unfinished")), "{name}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn only_an_ordinary_file_is_replaced() {
    let place = Place::new("replaced");
    let out = place.out();
    symlink(place.0.join("precious"), out.join("link")).unwrap();
    symlink("/nowhere/at/all", out.join("dangling")).unwrap();
    fs::hard_link(place.0.join("precious"), out.join("second")).unwrap();
    fs::create_dir(out.join("folder")).unwrap();
    let _socket = UnixListener::bind(out.join("socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, out.join("pipe"), FileType::Fifo, FILE, 0).unwrap();
    let all = [
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("second", "other names too"),
        ("folder", "a folder"),
        ("socket", "a socket"),
        ("pipe", "a named pipe"),
    ];
    for (name, why) in all {
        place.refuses(name, why);
    }
    assert!(!Path::new("/nowhere").exists());

    fs::write(out.join("old"), "old").unwrap();
    let before = fs::File::open(out.join("old")).unwrap();
    Dir::open(&out).unwrap().write(OsStr::new("old"), b"new", None).unwrap();
    assert_eq!(fs::read_to_string(out.join("old")).unwrap(), "new");
    // Whoever still reads the old file finds it as it was.
    assert_eq!(io::read_to_string(before).unwrap(), "old");
}

#[test]
fn what_comes_in_the_way_meanwhile_is_not_written_through() {
    let place = Place::new("meanwhile");
    let dir = Dir::open(&place.out()).unwrap();
    let mut new = dir.begin(OsStr::new("report.json"), None).unwrap();
    new.file.write_all(b"new").unwrap();
    symlink(place.0.join("precious"), place.out().join("report.json")).unwrap();
    assert!(new.publish().is_err());
    assert_eq!(fs::read_to_string(place.0.join("precious")).unwrap(), "precious");
    assert_eq!(names(&place.out()), ["report.json"]);
}

#[test]
fn folders_that_were_made_go_while_they_are_empty() {
    let place = Place::new("made");
    let path = place.out().join("one/two");
    let (_, made) = Dir::make(&path, None).unwrap();
    assert!(path.is_dir());
    drop(made);
    assert!(!place.out().join("one").exists() && place.out().exists());

    let (dir, made) = Dir::make(&path, None).unwrap();
    dir.write(OsStr::new("file"), b"", None).unwrap();
    drop(made);
    assert!(path.join("file").exists());
}

#[test]
fn a_folder_stays_the_one_that_was_opened() {
    let place = Place::new("moved");
    let dir = Dir::open(&place.out()).unwrap();
    fs::rename(place.out(), place.0.join("moved")).unwrap();
    fs::create_dir(place.out()).unwrap();
    dir.write(OsStr::new("file"), b"", None).unwrap();
    assert_eq!(names(&place.out()), [""; 0]);
    assert_eq!(dir.path().unwrap(), place.0.join("moved"));
    assert!(!dir.is_same(&Dir::open(&place.out()).unwrap()));
}

/// Of another user's links only root can make a test.
#[test]
fn a_link_on_the_way_is_followed_if_nobody_else_can_have_put_it() {
    let place = Place::new("way");
    symlink("out", place.0.join("link")).unwrap();
    assert!(Dir::open(&place.0.join("link")).is_ok());
    symlink("loop", place.0.join("loop")).unwrap();
    assert!(Dir::open(&place.0.join("loop")).is_err());
    assert!(Dir::open(&place.0.join("precious/below")).is_err());
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Root's own, in a folder that others may write to.
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Dir::open(&place.0.join("link")).is_err());
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::lchown(place.0.join("link"), Some(4711), None).unwrap();
    let error = Dir::make(&place.0.join("link/new"), None).unwrap_err().to_string();
    assert!(error.contains("user 4711 decides where it leads"), "{error}");
    assert_eq!(names(&place.out()), [""; 0]);
}

#[test]
fn only_a_file_of_ours_is_appended_to() {
    let place = Place::new("own");
    let dir = Dir::open_own(&place.0).unwrap();
    let append = |name: &str| dir.append_to_own(OsStr::new(name), Readers::Everyone);
    assert!(append("new").is_ok() && append("precious").is_ok());
    fs::hard_link(place.0.join("precious"), place.0.join("second")).unwrap();
    symlink("precious", place.0.join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, place.0.join("pipe"), FileType::Fifo, FILE, 0).unwrap();
    for name in ["second", "link", "pipe", "out"] {
        assert!(append(name).is_err(), "{name}");
    }
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Dir::open_own(&place.0).is_err());
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let place = Place::new("read");
    assert_eq!(read(&place.0.join("precious"), 8).unwrap(), b"precious");
    assert!(read(&place.0.join("precious"), 7).is_err());
    rustix::fs::mknodat(rustix::fs::CWD, place.0.join("pipe"), FileType::Fifo, FILE, 0).unwrap();
    assert!(read(&place.0.join("pipe"), 8).is_err());
    assert!(fs::metadata(place.0.join("precious")).unwrap().nlink() == 1);
}
