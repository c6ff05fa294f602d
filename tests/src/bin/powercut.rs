//! Does a day's work in a device's or a server's folder and records every change to its files.
//!
//! The power cut tests replay these recordings up to a chosen point. `--help` lists the parts.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    xundian_tests::powercut::program::run()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> std::process::ExitCode {
    eprintln!("system calls are recorded on Linux on x86-64 only");
    std::process::ExitCode::FAILURE
}
