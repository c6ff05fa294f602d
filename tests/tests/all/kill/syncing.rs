//! Kills a device at random moments while one of its threads saves and another one syncs.

use rand::Rng as _;
use xundian_tests::powercut::client::{self, Words};
use xundian_tests::support::process::Running;
use xundian_tests::support::seed;
use xundian_tests::support::service::Service;

const DEVICES: usize = 2;
const KILLS_A_DEVICE: usize = 8;
/// More rounds than the device completes before a kill.
const ROUNDS: &str = "100000";
/// The largest number of messages that a device prints before it is killed.
const WORDS_MAX: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_save_is_complete_after_kills_during_syncs() {
    let mut rng = seed::rng("a device is killed while it syncs");
    for nth in 0..DEVICES {
        let service = Service::start().await;
        let (home, is_sealed) = (tempfile::tempdir().expect("a folder"), nth % 2 == 1);
        let mut told = Vec::new();
        for life in 0..KILLS_A_DEVICE {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_powercut"));
            command.args(["client", "--untraced", "--rounds", ROUNDS, "--folder"]).arg(home.path());
            if life == 0 {
                command.args(["--invitation", &service.invitation("W1")]);
            }
            if is_sealed {
                command.arg("--sealed");
            }
            command.stdout(std::process::Stdio::piped());
            let mut running = Running::start(&mut command);
            let after = told.len() + rng.random_range(1..WORDS_MAX);
            let mut lines = running.lines();
            while told.len() < after {
                told.push(lines.next().expect("the device keeps working").expect("readable"));
            }
            running.kill();
            // Everything printed before the kill was acknowledged. The last line may be torn.
            told.extend(lines.map_while(Result::ok).filter(|line| line.ends_with(['}', '"'])));
            let words = Words::of_lines(told.iter().map(String::as_str)).expect("its words");
            let checked = tokio::task::block_in_place(|| {
                client::check(home.path(), is_sealed, &words.expected_after_kill())
            });
            if let Err(lost) = checked {
                panic!("life {life} of device {nth}: {lost}");
            }
        }
        let words = Words::of_lines(told.iter().map(String::as_str)).expect("its words");
        eprintln!("device {nth}: {} saves, {KILLS_A_DEVICE} kills", words.saves());
        service.verify();
    }
}
