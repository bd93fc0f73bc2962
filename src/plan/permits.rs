//! Whether a lab file may move the settings that it names: by itself those of one list, the others where the command
//! line says so. Pure.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::permitted;
use crate::spec::Spec;

/// The flag that permits one more.
pub const FLAG: &str = "--allow-host-setting";

/// Settings of whole machines that the lab file names: `section`, `key`. On a machine of its own, a node has no namespace
/// that its settings would be limited to.
pub fn of_whole_machines(spec: &Spec) -> impl Iterator<Item = (&'static str, &String)> {
    let sysctl = &spec.sysctl;
    let nothing = || -> &'static BTreeMap<String, String> { &NOTHING };
    let far = spec.driver.is_far();
    let sections = [
        ("host", &sysctl.host),
        ("server", if far { &sysctl.server } else { nothing() }),
        ("client", if far { &sysctl.client } else { nothing() }),
    ];
    sections.into_iter().flat_map(|(section, settings)| settings.keys().map(move |key| (section, key)))
}

static NOTHING: BTreeMap<String, String> = BTreeMap::new();

/// Whether the list or the command line has it.
pub fn is_permitted(key: &str, allowed: &[String]) -> bool {
    permitted::find(key).is_some() || allowed.iter().any(|one| one == key)
}

/// Refuses the first setting that nobody has permitted.
pub fn check(spec: &Spec, allowed: &[String]) -> Result<(), Refusal> {
    match of_whole_machines(spec).find(|(_, key)| !is_permitted(key, allowed)) {
        None => Ok(()),
        Some((section, key)) => {
            let why = format!("a lab file may not set {key} of a whole machine by itself");
            Err(Refusal::input(format!("sysctl.{section}.{key}"), why).remedy(format!(
                "`{FLAG} {key}` permits it, if you know what it does and who wrote this file; else leave it out"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, Result};
    use crate::exit::Exit;
    use crate::spec::{self, Lab};

    fn check(lab: &Lab, allowed: &[String]) -> Result<(), Error> {
        super::check(&lab.spec, allowed).map_err(|refusal| refusal.of(lab))
    }

    fn lab(text: &str) -> Lab {
        spec::parse("lab.yaml", &format!("connections: 10\n{text}"), &[]).expect("a lab")
    }

    #[test]
    fn what_is_on_no_list_is_refused_with_the_flag_for_it() {
        let lab = lab("sysctl: {host: {fs.file-max: 4000000, kernel.core_pattern: \"|/x\"}}");
        let error = check(&lab, &[]).expect_err("a root shell");
        assert_eq!(error.exit, Exit::Input);
        assert!(error.why.contains("may not set kernel.core_pattern"), "{error}");
        assert!(
            error.remedy.as_ref().is_some_and(|it| it.contains("--allow-host-setting kernel.core_pattern"))
        );
        assert_eq!(error.excerpt.as_ref().map(|at| at.line), Some(2), "{error}");
        check(&lab, &["kernel.core_pattern".to_owned()]).expect("allowed by name");
        check(&lab, &["kernel.core".to_owned()]).expect_err("another name");
    }

    #[test]
    fn the_labs_of_the_project_need_no_flag() {
        for folder in ["labs", "labs/limits", "vagrant"] {
            let files = std::fs::read_dir(folder).expect(folder).flatten().map(|entry| entry.path());
            for file in files.filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
                let lab = spec::load(&file, &[]).expect("a lab");
                check(&lab, &[]).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
        }
    }

    #[test]
    fn on_machines_a_node_s_settings_are_the_whole_machine_s() {
        let sysctl = "sysctl: {server: {net.ipv4.ip_forward: 1}, client: {net.ipv4.tcp_tw_reuse: 1}}";
        check(&lab(sysctl), &[]).expect("the namespace's own");
        let far = format!("driver: ssh\nmachines: {{server: one, clients: [two]}}\n{sysctl}");
        let error = check(&lab(&far), &[]).expect_err("the machine's");
        assert!(error.why.contains("net.ipv4.ip_forward"), "{error}");
        check(&lab(&far), &["net.ipv4.ip_forward".to_owned()]).expect("allowed");
    }
}
