//! Does a day's work on a device's or a server's folder, and records every change of its files: what the tests of
//! power cuts cut the power in. `--help` has the parts.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    xundian_tests::powercut::program::run()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> std::process::ExitCode {
    eprintln!("system calls are recorded on Linux on x86-64 only");
    std::process::ExitCode::FAILURE
}
