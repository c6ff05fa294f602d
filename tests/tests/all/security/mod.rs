//! Acceptance: unauthorised connections and writes are refused with clear messages, and nothing on the server changes.

mod admission;
mod conflicts;
mod scope;

use xundian_tests::support::contents::Contents;
use xundian_tests::support::service::Service;

/// Checks that the server's content is unchanged.
fn assert_unchanged(service: &Service, before: &Contents) {
    assert_eq!(before.differences(&Contents::of(service.server())), Vec::<String>::new());
    service.verify();
}

/// Checks that a text contains all of these parts.
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}
