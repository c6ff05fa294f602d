//! Months of work grow a server that stays right. What they cost is for `growth` in release (docs/adr/0016).

use xundian_tests::growth::{self, Size};

#[test]
fn a_server_that_grows_stays_right_and_so_does_a_device_that_fetches_all_of_it() {
    growth::run(Size::SMALL).expect("every batch is merged, verify and a check find nothing");
}
