//! Does a day's work on a device's or a server's folder, and records every change of its files: what the tests of
//! power cuts cut the power in. `--help` has the parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    xundian_tests::powercut::program::run()
}
