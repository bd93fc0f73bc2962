//! Writing settings. A thread inside a namespace writes that namespace's own `net.*` settings.

use std::io;
use std::path::PathBuf;

pub fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.replace('.', "/"))
}

pub fn write(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(path(key), value)
}
