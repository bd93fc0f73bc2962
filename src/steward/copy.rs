//! The copy of this program that was brought to a machine: a running program needs its file no more, and agents are
//! started from the running program.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::kernel::files::Dir;

/// As which the shell's script has it.
const NAME: &str = "c1m-lab";

/// Removes the copy and its folder. Whatever the folder is called: it was made for the copy if nobody else may enter it
/// and it holds nothing but the very file that runs here. Else nothing is removed.
pub fn forget(folder: &Path) {
    let _ = forget_program(folder, Path::new("/proc/self/exe"));
}

fn forget_program(path: &Path, program: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Ok(()) };
    let around = Dir::open(path.parent().unwrap_or(Path::new("/")))?;
    let folder = Dir::open(path)?;
    let (program, copy) = (program.metadata()?, folder.stat(OsStr::new(NAME))?);
    let is_alone = folder.names()?.iter().all(|name| name == NAME) && copy.st_nlink == 1;
    if is_alone && folder.is_private()? && (copy.st_dev, copy.st_ino) == (program.dev(), program.ino()) {
        folder.remove(OsStr::new(NAME))?;
        around.remove_folder(name, &folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        /// A folder as the script makes it, with a copy in it.
        fn new(test: &str) -> Place {
            let path = std::env::temp_dir().join(format!("c1m-copy-{test}-{}", std::process::id()));
            fs::create_dir_all(path.join("folder")).unwrap();
            fs::write(path.join("folder").join(NAME), "program").unwrap();
            fs::set_permissions(path.join("folder"), Permissions::from_mode(0o700)).unwrap();
            Place(path)
        }

        fn folder(&self) -> PathBuf {
            self.0.join("folder")
        }

        /// That the copy runs, and its folder is named like this.
        fn keeps(&self, folder: &Path) {
            let _ = forget_program(folder, &self.folder().join(NAME));
            assert!(self.folder().join(NAME).exists(), "{}", folder.display());
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_copy_goes_with_its_folder() {
        let place = Place::new("goes");
        forget_program(&place.folder(), &place.folder().join(NAME)).unwrap();
        assert!(!place.folder().exists() && place.0.exists());
    }

    #[test]
    fn nothing_else_goes() {
        let place = Place::new("stays");
        let other = place.folder().join("other");
        fs::write(&other, "").unwrap();
        place.keeps(&place.folder());
        fs::remove_file(&other).unwrap();
        fs::set_permissions(place.folder(), Permissions::from_mode(0o755)).unwrap();
        place.keeps(&place.folder());
        fs::set_permissions(place.folder(), Permissions::from_mode(0o700)).unwrap();
        fs::hard_link(place.folder().join(NAME), place.0.join("second")).unwrap();
        place.keeps(&place.folder());
        fs::remove_file(place.0.join("second")).unwrap();
        // Another program of the same name, and the program behind a link.
        let another = Place::new("another");
        place.keeps(&another.folder());
        assert!(another.folder().join(NAME).exists());
        fs::remove_file(another.folder().join(NAME)).unwrap();
        symlink(place.folder().join(NAME), another.folder().join(NAME)).unwrap();
        place.keeps(&another.folder());
        for path in ["/", "", "..", "/usr/bin"] {
            place.keeps(Path::new(path));
        }
    }
}
