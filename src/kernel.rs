//! The doors to the kernel: whatever changes the machine goes through one of them.

pub mod proc;
