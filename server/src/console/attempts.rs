//! The lock-out after failed logins: attempts per user and per address, in a bounded map.
//!
//! An attempt is counted before the password is checked, so that concurrent attempts cannot exceed the bound.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The most failed attempts for one user within [`WINDOW_MS`].
pub(super) const PER_USER_MAX: u32 = 8;
/// The most failed attempts from one address within [`WINDOW_MS`]; several people may share one.
pub(super) const PER_ADDRESS_MAX: u32 = 40;
/// How long an attempt counts.
pub(super) const WINDOW_MS: i64 = 15 * 60 * 1000;
const KEYS_MAX: usize = 20_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Address(IpAddr),
}

impl Key {
    const fn attempts_max(&self) -> u32 {
        match self {
            Self::User(_) => PER_USER_MAX,
            Self::Address(_) => PER_ADDRESS_MAX,
        }
    }
}

struct Window {
    since_ms: i64,
    attempts: u32,
}

/// The recent attempts.
#[derive(Default)]
pub(super) struct Attempts {
    windows: Mutex<HashMap<Key, Window>>,
}

impl Attempts {
    /// Counts an attempt. Returns `false` if there were too many already; then the login is refused.
    pub(super) fn take(&self, user: &str, address: IpAddr, now_ms: i64) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys(user, address);
        let spent = |key: &Key| {
            let window = windows.get(key).filter(|window| is_current(window, now_ms));
            window.is_some_and(|window| window.attempts >= key.attempts_max())
        };
        if keys.iter().any(spent) {
            return false;
        }
        for key in keys {
            make_room(&mut windows, &key, now_ms);
            let window = windows.entry(key).or_insert(Window { since_ms: now_ms, attempts: 0 });
            if !is_current(window, now_ms) {
                *window = Window { since_ms: now_ms, attempts: 0 };
            }
            window.attempts += 1;
        }
        true
    }

    /// Takes back a successful attempt, and resets the user's count.
    pub(super) fn succeeded(&self, user: &str, address: IpAddr) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let [user, address] = keys(user, address);
        windows.remove(&user);
        if let Some(window) = windows.get_mut(&address) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }
}

fn keys(user: &str, address: IpAddr) -> [Key; 2] {
    let address = match address {
        // One customer has a whole /64, so a single address within it means nothing.
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address.to_canonical(),
    };
    [Key::User(user.chars().take(super::users::NAME_CHARS_MAX).collect()), Key::Address(address)]
}

const fn is_current(window: &Window, now_ms: i64) -> bool {
    now_ms - window.since_ms < WINDOW_MS
}

/// When the map is full, drops expired entries, or the oldest entry if none has expired.
fn make_room(windows: &mut HashMap<Key, Window>, key: &Key, now_ms: i64) {
    if windows.len() < KEYS_MAX || windows.contains_key(key) {
        return;
    }
    windows.retain(|_, window| is_current(window, now_ms));
    if windows.len() >= KEYS_MAX
        && let Some(oldest) =
            windows.iter().min_by_key(|(_, window)| window.since_ms).map(|(key, _)| key.clone())
    {
        windows.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_user_is_held_back_after_too_many_and_let_in_again_later() {
        let attempts = Attempts::default();
        for _ in 0..PER_USER_MAX {
            assert!(attempts.take("a", HERE, 0));
        }
        assert!(!attempts.take("a", HERE, 1));
        assert!(attempts.take("b", HERE, 1));
        assert!(attempts.take("a", HERE, WINDOW_MS));
    }

    #[test]
    fn an_address_is_held_back_whatever_names_it_tries() {
        let attempts = Attempts::default();
        let tried = (0..100).filter(|name| attempts.take(&name.to_string(), HERE, 0)).count();
        assert_eq!(tried, PER_ADDRESS_MAX as usize);
    }

    #[test]
    fn success_is_not_held_against_anyone() {
        let attempts = Attempts::default();
        for _ in 0..1000 {
            assert!(attempts.take("a", HERE, 0));
            attempts.succeeded("a", HERE);
        }
    }

    #[test]
    fn the_map_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..KEYS_MAX as u32 + 100 {
            attempts.take("a", IpAddr::from(n.to_be_bytes()), i64::from(n) * 1000);
        }
        assert!(attempts.windows.lock().unwrap().len() <= KEYS_MAX);
    }
}
