//! The doors to the kernel: whatever changes the machine goes through one of them.

pub mod cgroup;
pub mod files;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod proc;
pub mod process;
pub mod qdisc;
pub mod sock_diag;
pub mod sysctl;
pub mod threads;
pub mod witness;
