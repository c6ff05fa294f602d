//! Loads one server with months of a company's work: see [`xundian_tests::growth`].

fn main() -> std::process::ExitCode {
    xundian_tests::growth::main()
}
