//! A file of `/proc` that stays open: it belongs for ever to the namespace in which it was opened, and
//! reading it again costs neither a path nor a thread.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// None: the kernel has no such file, or it may not be read here. Then its values are left out.
#[derive(Debug, Default)]
pub struct ProcFile(Option<File>);

/// Most files fit; the others are read in as many steps as they need.
const STEP: usize = 16 * 1024;

impl ProcFile {
    pub fn open(path: &str) -> ProcFile {
        ProcFile(File::open(path).ok())
    }

    /// The text as it is now; empty when it cannot be read any more.
    pub fn read(&self, buffer: &mut Vec<u8>) -> String {
        buffer.clear();
        let Some(file) = &self.0 else { return String::new() };
        loop {
            let from = buffer.len();
            buffer.resize(from + STEP, 0);
            match file.read_at(&mut buffer[from..], from as u64) {
                Ok(0) => break buffer.truncate(from),
                Ok(length) => buffer.truncate(from + length),
                Err(_) => return String::new(),
            }
        }
        String::from_utf8_lossy(buffer).into_owned()
    }

    pub fn number(&self, buffer: &mut Vec<u8>) -> Option<u64> {
        self.read(buffer).split_whitespace().next()?.parse().ok()
    }
}
