//! The growth benchmark with a small company. The real measurement is `growth` in release (docs/adr/0016).

use xundian_tests::growth::{self, Size};

#[test]
fn a_growing_server_and_a_device_that_pulls_everything_stay_correct() {
    growth::run(Size::SMALL).expect("every batch is merged, and verify and reconciliation find nothing");
}
