//! Writing settings. A thread inside a namespace writes that namespace's own `net.*` settings.

use std::io;
use std::path::Path;

use super::proc;

pub fn write(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(Path::new("/proc/sys").join(proc::sysctl_path(key)?), value)
}
