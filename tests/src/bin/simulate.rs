//! Simulates fleets of devices and a server through days of faults: see [`xundian_tests::simulate`].

fn main() -> std::process::ExitCode {
    xundian_tests::simulate::cli::main()
}
