//! A copy of the host settings that a lab has moved, where a reboot keeps it.
//!
//! The journal lies in `/run`, which is as empty after a reboot as the lab's namespaces are gone. A setting
//! may have been made to last meanwhile: `/var/lib/c1m-lab/<lab>.json` knows what it was before.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Change, Header, LONGEST, Standing};
use crate::kernel::files::{self, Dir};

/// One file for each lab that has moved a setting.
pub const DIRECTORY: &str = "/var/lib/c1m-lab";

/// Nothing but settings: nothing else outlasts a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub header: Header,
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub key: String,
    pub before: String,
    pub during: String,
}

impl Kept {
    pub fn of(header: &Header, standing: &[Standing]) -> Kept {
        let settings = standing.iter().filter_map(|one| match one.change.clone() {
            Change::Setting { key, before, during } => Some(Setting { key, before, during }),
            _ => None,
        });
        Kept { header: header.clone(), settings: settings.collect() }
    }

    /// What it says, as the journal would.
    pub fn read(text: &[u8]) -> serde_json::Result<(Header, Vec<Standing>)> {
        let kept: Kept = serde_json::from_slice(text)?;
        let standing = (1..).zip(kept.settings).map(|(id, Setting { key, before, during })| {
            let change = Change::Setting { key, before, during };
            Standing { id, change, certain: false }
        });
        Ok((kept.header, standing.collect()))
    }

    /// In place of the last one, and on the disk before anything else is done.
    pub fn write(&self) -> io::Result<()> {
        let lab = &self.header.lab;
        let text = serde_json::to_vec(self)?;
        let write = || {
            match fs::create_dir(DIRECTORY) {
                Ok(()) => File::open("/var/lib")?.sync_all()?,
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) => {}
            }
            let dir = Dir::open_own(Path::new(DIRECTORY))?;
            let (unfinished, whole) = (unfinished(lab), file_name(lab));
            // What another left of it, or put there: it is not written to.
            let _ = dir.remove(&unfinished);
            let mut file = dir.create(&unfinished)?;
            file.write_all(&text)?;
            file.sync_all()?;
            dir.rename(&unfinished, &whole)?;
            dir.sync()
        };
        // Once more, because the last lab to end takes the folder away, perhaps in between.
        write().or_else(|_| write())
    }
}

fn file_name(lab: &str) -> OsString {
    format!("{lab}.json").into()
}

/// As which it is written until it is whole.
fn unfinished(lab: &str) -> OsString {
    format!("{lab}.json.new").into()
}

/// The labs of which there is a copy.
pub fn labs() -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

/// None: there is none, or it cannot be read.
pub fn look(lab: &str) -> Option<(Header, Vec<Standing>)> {
    let path = Path::new(DIRECTORY).join(file_name(lab));
    Kept::read(&files::read(&path, LONGEST).ok()?).ok()
}

pub fn remove(lab: &str) -> io::Result<()> {
    for name in [unfinished(lab), file_name(lab)] {
        match fs::remove_file(Path::new(DIRECTORY).join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // The folder goes with the last of them.
    let _ = fs::remove_dir(DIRECTORY);
    Ok(())
}
