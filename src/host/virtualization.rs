//! Whether this machine is a virtual one, and whether this process is in a container: what can be seen of it.

use std::path::Path;

use super::tree::Tree;

/// The names by which hypervisors call themselves in the machine's DMI table, and what they are.
const VENDORS: [(&str, &str); 12] = [
    ("Amazon EC2", "amazon"),
    ("Google", "google"),
    ("Microsoft Corporation", "hyper-v"),
    ("VMware", "vmware"),
    ("innotek", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Parallels", "parallels"),
    ("OpenStack", "openstack"),
    ("Xen", "xen"),
    ("KVM", "kvm"),
    ("QEMU", "qemu"),
    ("Bochs", "bochs"),
];

/// What containers leave for those inside to find.
const CONTAINER_FILES: [(&str, &str); 3] = [
    ("/.dockerenv", "docker"),
    ("/run/.containerenv", "podman"),
    ("/var/run/secrets/kubernetes.io", "kubernetes"),
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Virtualization {
    /// The hypervisor; none: no sign of one.
    pub hypervisor: Option<String>,
    /// What made the container; none: no sign of one.
    pub container: Option<String>,
    /// What the processor calls itself.
    pub processor: Option<String>,
}

/// What the machine whose files stand below `root` shows of it.
pub fn read_from(root: &Path) -> Virtualization {
    let tree = Tree::at(root);
    let processors = tree.text("/proc/cpuinfo").unwrap_or_default();
    Virtualization {
        hypervisor: hypervisor(&tree, &processors),
        container: container(&tree),
        processor: field(&processors, "model name").map(str::to_owned),
    }
}

fn hypervisor(tree: &Tree, processors: &str) -> Option<String> {
    if let Ok(name) = tree.text("/sys/hypervisor/type") {
        return Some(name.trim().to_owned());
    }
    let dmi = |name: &str| tree.text(format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    let product = dmi("product_name");
    let told = format!("{}\n{product}\n{}", dmi("sys_vendor"), dmi("bios_vendor"));
    // Microsoft makes machines too, and the cloud of Google has some without a hypervisor.
    let of_flesh = told.contains("Microsoft") && !product.contains("Virtual");
    let named = VENDORS.iter().find(|(name, _)| told.contains(name)).filter(|_| !of_flesh);
    let flagged =
        field(processors, "flags").is_some_and(|flags| flags.split(' ').any(|one| one == "hypervisor"));
    match named {
        Some((_, what)) => Some((*what).to_owned()),
        None => flagged.then(|| "unknown".to_owned()),
    }
}

fn container(tree: &Tree) -> Option<String> {
    if let Some((_, what)) = CONTAINER_FILES.iter().find(|(path, _)| tree.exists(path)) {
        return Some((*what).to_owned());
    }
    if let Ok(name) = tree.text("/run/systemd/container") {
        return Some(name.trim().to_owned());
    }
    // Only root and the same user may read it.
    let environment = tree.text("/proc/1/environ").ok()?;
    environment.split('\0').find_map(|one| one.strip_prefix("container=")).map(str::to_owned)
}

/// The first line of `/proc/cpuinfo` that begins with this name.
fn field<'a>(processors: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = processors.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(what: &str, files: &[(&str, &str)]) -> Virtualization {
        let root = std::env::temp_dir().join(format!("c1m-virtualization-{what}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let seen = read_from(&root);
        let _ = std::fs::remove_dir_all(&root);
        seen
    }

    const CPU: &str = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu hypervisor lahf_lm\n";

    #[test]
    fn a_virtual_machine_is_known_by_its_dmi_table_or_by_the_processor() {
        let qemu = seen("qemu", &[("/sys/class/dmi/id/sys_vendor", "QEMU\n"), ("/proc/cpuinfo", CPU)]);
        assert_eq!(qemu.hypervisor.as_deref(), Some("qemu"));
        assert_eq!(qemu.processor.as_deref(), Some("Xeon"));
        assert_eq!(seen("flag", &[("/proc/cpuinfo", CPU)]).hypervisor.as_deref(), Some("unknown"));
        let xen = seen("xen", &[("/sys/hypervisor/type", "xen\n")]);
        assert_eq!(xen.hypervisor.as_deref(), Some("xen"));
    }

    #[test]
    fn a_machine_of_its_own_shows_no_sign() {
        let surface = [
            ("/sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n"),
            ("/sys/class/dmi/id/product_name", "Surface\n"),
        ];
        assert_eq!(seen("surface", &surface), Virtualization::default());
        assert_eq!(seen("none", &[]), Virtualization::default());
    }

    #[test]
    fn containers_are_known_by_what_they_leave() {
        assert_eq!(seen("docker", &[("/.dockerenv", "")]).container.as_deref(), Some("docker"));
        let lxc = seen("lxc", &[("/proc/1/environ", "PATH=/bin\0container=lxc\0")]);
        assert_eq!(lxc.container.as_deref(), Some("lxc"));
    }
}
