//! Acceptance: everything acknowledged survives `kill -9`, on devices and on the server.

mod device;
mod photos;
mod server;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod syncing;
