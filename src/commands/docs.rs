//! `c1m-lab docs DIR` and `c1m-lab man DIR`: write the pages that are rendered from the code.

use crate::cli::DocsArgs;
use crate::docs;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::report::folder::write_for_user;

pub fn run(args: &DocsArgs) -> Result<Exit> {
    for page in docs::pages() {
        write_for_user(&args.dir.join(page.name), page.text.as_bytes())?;
    }
    Ok(Exit::Done)
}

pub fn man(args: &DocsArgs) -> Result<Exit> {
    let pages = docs::manual::pages().attempt(Exit::Broke, || "rendering the manual pages".to_owned())?;
    for page in pages {
        write_for_user(&args.dir.join(page.name), &page.text)?;
    }
    Ok(Exit::Done)
}
