//! The files of a machine: those of this one, or of one that a test has made up.

use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::proc;

pub struct Tree {
    root: PathBuf,
}

impl Tree {
    pub fn at(root: &Path) -> Tree {
        Tree { root: root.to_path_buf() }
    }

    /// Where a path of the machine, such as `/proc/meminfo`, is found.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file. The error says which.
    pub fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let path = path.as_ref();
        let name = |why: io::Error| io::Error::new(why.kind(), format!("{}: {why}", path.display()));
        proc::read_text(self.path(path)).map_err(name)
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }
}

/// Whether this process has the right to write there. Asked of the kernel, not tried.
pub fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}
