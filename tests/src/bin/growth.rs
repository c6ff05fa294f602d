//! Grows one server by months of a company's work: see [`xundian_tests::growth`].

fn main() -> std::process::ExitCode {
    xundian_tests::growth::main()
}
