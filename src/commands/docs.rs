//! `c1m-lab docs DIR`: writes the pages that are rendered from the code. For those who work on it.

use crate::cli::DocsArgs;
use crate::docs;
use crate::error::{Attempt, Result};
use crate::exit::Exit;

pub fn run(args: &DocsArgs) -> Result<Exit> {
    for page in docs::pages() {
        let path = args.dir.join(page.name);
        std::fs::write(&path, page.text).attempt(Exit::Broke, || format!("writing {}", path.display()))?;
    }
    Ok(Exit::Done)
}
