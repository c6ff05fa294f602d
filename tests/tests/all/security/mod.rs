//! Acceptance: whoever may not come in, or may not write something, is told so in clear words, and nothing
//! of the server changes.

mod admission;
mod conflicts;
mod scope;

use xundian_tests::support::contents::Contents;
use xundian_tests::support::service::Service;

/// Fails unless the server holds what it held before.
fn assert_unchanged(service: &Service, before: &Contents) {
    assert_eq!(before.differences(&Contents::of(service.server())), Vec::<String>::new());
    service.verify();
}

/// Fails unless a text says all of these.
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}
