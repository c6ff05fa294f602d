//! Login sessions in memory, bounded and expiring, and the tokens against forged forms. Knows no HTTP.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a session lasts at most.
pub(super) const SESSION_MS: i64 = 12 * 3600 * 1000;
/// How long a session lasts without a request.
const IDLE_MS: i64 = 2 * 3600 * 1000;
const SESSIONS_MAX: usize = 10_000;
const PER_USER_MAX: usize = 16;

/// A session's user, as of their login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Session {
    /// The name.
    pub(super) user: String,
    /// The fingerprint of the password and person at login.
    pub(super) fingerprint: [u8; 32],
    started_ms: i64,
    used_ms: i64,
}

impl Session {
    const fn is_current(&self, now_ms: i64) -> bool {
        now_ms - self.started_ms < SESSION_MS && now_ms - self.used_ms < IDLE_MS
    }
}

/// All sessions, by the digest of their token: a reader of the memory learns no token.
pub(super) struct Sessions {
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    form_key: [u8; 32],
}

impl Sessions {
    /// Creates an empty set, with a fresh key for the forms.
    pub(super) fn new() -> Self {
        Self { sessions: Mutex::default(), form_key: rand::random() }
    }

    /// Starts a session, and returns the token for the cookie.
    pub(super) fn start(&self, user: &str, fingerprint: [u8; 32], now_ms: i64) -> String {
        let token = new_token();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_current(now_ms));
        while sessions.values().filter(|session| session.user == user).count() >= PER_USER_MAX {
            remove_stalest(&mut sessions, |session| session.user == user);
        }
        if sessions.len() >= SESSIONS_MAX {
            remove_stalest(&mut sessions, |_| true);
        }
        let session = Session { user: user.into(), fingerprint, started_ms: now_ms, used_ms: now_ms };
        sessions.insert(digest(&token), session);
        token
    }

    /// The session of a token, if it has not expired.
    pub(super) fn find(&self, token: &str, now_ms: i64) -> Option<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&digest(token)).filter(|session| session.is_current(now_ms))?;
        session.used_ms = now_ms;
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&self, token: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(token));
    }

    /// The form token for the holder of `cookie`.
    pub(super) fn form_token(&self, cookie: &str) -> String {
        blake3::keyed_hash(&self.form_key, cookie.as_bytes()).to_hex().to_string()
    }

    /// Whether a form is ours and was given to the holder of `cookie`.
    pub(super) fn is_ours(&self, cookie: &str, form_token: &str) -> bool {
        // blake3's comparison takes constant time.
        blake3::Hash::from_hex(form_token)
            .is_ok_and(|given| given == blake3::keyed_hash(&self.form_key, cookie.as_bytes()))
    }
}

/// 32 random bytes in hexadecimal digits.
pub(super) fn new_token() -> String {
    blake3::Hash::from_bytes(rand::random()).to_hex().to_string()
}

fn digest(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

fn remove_stalest(sessions: &mut HashMap<[u8; 32], Session>, among: impl Fn(&Session) -> bool) {
    let candidates = sessions.iter().filter(|(_, session)| among(session));
    if let Some(stalest) = candidates.min_by_key(|(_, session)| session.used_ms).map(|(key, _)| *key) {
        sessions.remove(&stalest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_itself_and_by_hand() {
        let sessions = Sessions::new();
        let token = sessions.start("a", [1; 32], 0);
        assert_eq!(sessions.find(&token, IDLE_MS - 1).unwrap().user, "a");
        assert!(sessions.find(&token, 3 * IDLE_MS).is_none());
        let token = sessions.start("a", [1; 32], 0);
        for step in 0.. {
            let now = step * (IDLE_MS - 1);
            assert_eq!(sessions.find(&token, now).is_some(), now < SESSION_MS, "{now}");
            if now >= SESSION_MS {
                break;
            }
        }
        let token = sessions.start("a", [1; 32], 0);
        sessions.end(&token);
        assert!(sessions.find(&token, 0).is_none());
        assert!(sessions.find("", 0).is_none());
    }

    #[test]
    fn a_user_has_so_many_sessions_and_no_more() {
        let sessions = Sessions::new();
        let tokens: Vec<_> = (0..20).map(|now| sessions.start("a", [1; 32], now)).collect();
        assert!(sessions.find(&tokens[0], 20).is_none());
        assert_eq!(tokens.iter().filter(|token| sessions.find(token, 20).is_some()).count(), PER_USER_MAX);
    }

    #[test]
    fn a_form_token_belongs_to_its_cookie() {
        let sessions = Sessions::new();
        assert!(sessions.is_ours("cookie", &sessions.form_token("cookie")));
        assert!(!sessions.is_ours("cookie", &sessions.form_token("another")));
        assert!(!sessions.is_ours("cookie", &Sessions::new().form_token("cookie")));
        assert!(!sessions.is_ours("cookie", ""));
    }
}
