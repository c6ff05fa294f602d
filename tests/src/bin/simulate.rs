//! Simulates fleets and a server through days of trouble: see [`xundian_tests::simulate`].

fn main() -> std::process::ExitCode {
    xundian_tests::simulate::cli::main()
}
