//! Files that cannot be read.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

/// A folder of its own for each test; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("c1m-lab-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn error_of(&self, file: &str) -> Error {
        let error = load(&self.0.join(file), &[]).unwrap_err();
        assert_eq!(error.exit, Exit::Input);
        assert!(error.attempted.ends_with(file) && error.remedy.is_some(), "{error}");
        error
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new("unreadable");
    assert_eq!(folder.error_of("missing.yaml").why, "there is no such file");
    assert_eq!(folder.error_of("").why, "it is a directory");

    let large = fs::File::create(folder.0.join("large.yaml")).unwrap();
    large.set_len(100_000_000).unwrap();
    let began = Instant::now();
    assert_eq!(folder.error_of("large.yaml").why, "it is larger than 1 MiB");
    assert!(began.elapsed() < Duration::from_millis(100));

    fs::write(folder.0.join("latin1.yaml"), b"connections: 10K\nname: caf\xe9 # x\n").unwrap();
    let error = folder.error_of("latin1.yaml");
    let at = error.excerpt.unwrap();
    assert_eq!(error.why, "it is not UTF-8 text");
    assert_eq!((at.line, at.column, at.width, at.text.as_str()), (2, 10, 1, "name: caf� # x"));

    fs::write(folder.0.join("My Lab.yaml"), "connections: 10K\n").unwrap();
    let error = folder.error_of("My Lab.yaml");
    assert_eq!(error.why, "the lab has no name, and that of its file, `My Lab`, cannot serve");
}

#[test]
fn a_device_without_end_is_too_large() {
    let error = load(std::path::Path::new("/dev/zero"), &[]).unwrap_err();
    assert_eq!(error.why, "it is larger than 1 MiB");
}
