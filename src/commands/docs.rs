//! `c1m-lab docs DIR` and `c1m-lab man DIR`: write the pages that are rendered from the code.

use std::path::Path;

use crate::cli::DocsArgs;
use crate::docs;
use crate::error::{Attempt, Result};
use crate::exit::Exit;

pub fn run(args: &DocsArgs) -> Result<Exit> {
    for page in docs::pages() {
        write(&args.dir.join(page.name), page.text.as_bytes())?;
    }
    Ok(Exit::Done)
}

pub fn man(args: &DocsArgs) -> Result<Exit> {
    let pages = docs::manual::pages().attempt(Exit::Broke, || "rendering the manual pages".to_owned())?;
    for page in pages {
        write(&args.dir.join(page.name), &page.text)?;
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    std::fs::write(path, text).attempt(Exit::Broke, || format!("writing {}", path.display()))
}
