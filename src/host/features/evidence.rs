//! The places where a kernel tells what it was built with, from the surest to the least.

use std::collections::BTreeSet;

use super::{Feature, Presence, Sought};
use crate::host::tree::Tree;

pub struct Evidence<'a> {
    tree: &'a Tree,
    /// Modules built into the kernel, and those on disk; `None` if this machine does not list them.
    built_in: Option<BTreeSet<String>>,
    on_disk: Option<BTreeSet<String>>,
    /// The kernel's configuration, and the file it is in.
    config: Option<(String, String)>,
    /// The sought symbols that the kernel has. It costs a tenth of a second to ask, so it is done only
    /// where nothing else tells.
    symbols: Option<BTreeSet<&'static str>>,
    takes_modules: bool,
}

impl Evidence<'_> {
    pub fn gather<'a>(tree: &'a Tree, kernel: &str) -> Evidence<'a> {
        let folder = format!("/lib/modules/{kernel}");
        let built_in = modules(tree, &format!("{folder}/modules.builtin"));
        let on_disk = modules(tree, &format!("{folder}/modules.dep"));
        let configs = [format!("/boot/config-{kernel}"), format!("{folder}/config")];
        let config = configs.into_iter().find_map(|file| Some((tree.text(&file).ok()?, file)));
        let lists_suffice = (built_in.is_some() && on_disk.is_some()) || config.is_some();
        let symbols = if lists_suffice { None } else { symbols(tree) };
        let takes_modules = tree.exists("/proc/modules");
        Evidence { tree, built_in, on_disk, config, symbols, takes_modules }
    }

    pub fn on(&self, sought: &Sought) -> Feature {
        let told = self
            .by_file(sought)
            .or_else(|| self.by_module_list(sought))
            .or_else(|| self.by_config(sought))
            .or_else(|| self.by_symbol(sought));
        told.unwrap_or_else(|| Feature::new(Presence::Unknown, "nothing on this machine tells"))
    }

    fn by_file(&self, sought: &Sought) -> Option<Feature> {
        let module = format!("/sys/module/{}", sought.module);
        let mut files = sought.files.iter().copied().chain([module.as_str()]);
        let file = files.find(|file| self.tree.exists(file))?;
        Some(Feature::new(Presence::Present, format!("{file} exists")))
    }

    fn by_module_list(&self, sought: &Sought) -> Option<Feature> {
        let listed = |list: &Option<BTreeSet<String>>| list.as_ref().map(|list| list.contains(sought.module));
        match (listed(&self.built_in), listed(&self.on_disk)) {
            (Some(true), _) => Some(Feature::new(Presence::Present, "modules.builtin lists it")),
            (_, Some(true)) => Some(Feature::new(Presence::Loadable, "modules.dep lists it")),
            // The package with the less common modules may just not be installed, as in cloud images:
            // without it the feature is as absent as can be.
            (Some(false), Some(false)) => {
                Some(Feature::new(Presence::Absent, "neither modules.builtin nor modules.dep lists it"))
            }
            _ => None,
        }
    }

    fn by_config(&self, sought: &Sought) -> Option<Feature> {
        let (config, file) = self.config.as_ref()?;
        let option = format!("CONFIG_{}", sought.option);
        let value = config.lines().find_map(|line| line.strip_prefix(&option)?.strip_prefix('='));
        let (presence, says) = match value {
            Some("y") => (Presence::Present, "=y"),
            // The module was built, but whether it is installed here is not known.
            Some("m") => (Presence::Unknown, "=m, and no list of modules"),
            _ => (Presence::Absent, " is not set"),
        };
        Some(Feature::new(presence, format!("{file}: {option}{says}")))
    }

    fn by_symbol(&self, sought: &Sought) -> Option<Feature> {
        let has_it = self.symbols.as_ref()?.contains(sought.symbol);
        match (has_it, self.takes_modules) {
            (true, _) => Some(Feature::new(Presence::Present, format!("the kernel has {}", sought.symbol))),
            (false, false) => Some(Feature::new(
                Presence::Absent,
                format!("the kernel has no {} and takes no modules", sought.symbol),
            )),
            (false, true) => None,
        }
    }
}

/// The names in lines such as `kernel/drivers/net/veth.ko.zst: ...`. A file's dashes are a module's
/// underscores.
fn modules(tree: &Tree, list: &str) -> Option<BTreeSet<String>> {
    let text = tree.text(list).ok()?;
    Some(text.lines().filter_map(module_name).collect())
}

fn module_name(line: &str) -> Option<String> {
    let path = line.split(':').next()?;
    let (name, _compression) = path.rsplit('/').next()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

/// `None` if the kernel hides its symbols or has no list of them.
fn symbols(tree: &Tree) -> Option<BTreeSet<&'static str>> {
    let text = tree.text("/proc/kallsyms").ok().filter(|text| !text.is_empty())?;
    let names: BTreeSet<&str> = super::SOUGHT.iter().map(|sought| sought.symbol).collect();
    let symbol = |line| names.get(symbol_name(line)?).copied();
    Some(text.lines().filter_map(symbol).collect())
}

/// The third word of `ffffffff81c5d0a0 t veth_xmit`; a fourth names the module.
fn symbol_name(line: &str) -> Option<&str> {
    line.split_ascii_whitespace().nth(2)
}
