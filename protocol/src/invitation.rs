//! Invitations: the text or QR code with which a program becomes a device of one server.
//!
//! An invitation is `xd1-`, followed in Crockford's base 32 by the fingerprint of the server's authority (32 bytes),
//! the secret (16 bytes), the server's address and a checksum (the first 4 bytes of the BLAKE3 hash of everything
//! before it). Base 32 is read in upper and lower case, and 0/O and 1/I/L cannot be confused, so it can be typed from
//! paper. Blanks, line ends and hyphens are skipped.

use data_encoding::{DecodeKind, Encoding, Specification};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

const PREFIX: &str = "xd1-";
const ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const FINGERPRINT_BYTES: usize = 32;
const SECRET_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;
/// A host name has at most 253 bytes (RFC 1035), followed by a colon and a port.
const ADDRESS_BYTES_MAX: usize = 253 + 6;
const TEXT_BYTES_MAX: usize = 1024;

/// What a new device needs to find its server, to trust it, and to be admitted once.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    address: String,
    authority_fingerprint: [u8; FINGERPRINT_BYTES],
    secret: [u8; SECRET_BYTES],
}

/// A text that is not an invitation, or parts that do not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It does not start with `xd1-`.
    #[error("this is no invitation: an invitation starts with {PREFIX}")]
    Prefix,
    /// It is far too long.
    #[error("this is no invitation: it has {bytes} bytes, an invitation has at most {TEXT_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A character that cannot occur in an invitation.
    #[error("an invitation cannot contain the character {found:?}: copy all of it again")]
    Character {
        /// The character.
        found: char,
    },
    /// The checksum is wrong.
    #[error("the invitation is incomplete or has a typing mistake: copy all of it again")]
    Checksum,
    /// The address is not host:port.
    #[error("the invitation's server address {address:?} is not of the form host:port")]
    Address {
        /// What was given, truncated.
        address: String,
    },
}

impl Invitation {
    /// An invitation to the server at `address`, which is host:port.
    ///
    /// # Errors
    /// Returns an error if the address has another form.
    pub fn new(
        address: String,
        authority_fingerprint: [u8; FINGERPRINT_BYTES],
        secret: [u8; SECRET_BYTES],
    ) -> Result<Self, InvitationError> {
        if !is_address(&address) {
            return Err(InvitationError::Address { address: address.chars().take(64).collect() });
        }
        Ok(Self { address, authority_fingerprint, secret })
    }

    /// The address of the server, host:port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The BLAKE3 hash of the certificate (DER) of the server's authority.
    pub const fn authority_fingerprint(&self) -> [u8; FINGERPRINT_BYTES] {
        self.authority_fingerprint
    }

    /// The secret by which the server knows this invitation.
    pub const fn secret(&self) -> [u8; SECRET_BYTES] {
        self.secret
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret must not appear in logs.
        f.debug_struct("Invitation").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.authority_fingerprint.to_vec();
        bytes.extend(self.secret);
        bytes.extend(self.address.as_bytes());
        bytes.extend(checksum(&bytes));
        f.write_str(PREFIX)?;
        f.write_str(&BASE32.encode(&bytes))
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvitationError::TooLong { bytes: text.len() });
        }
        let text = text.trim();
        let starts = text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if !starts {
            return Err(InvitationError::Prefix);
        }
        let bytes = from_base32(&text[PREFIX.len()..])?;
        let (content, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InvitationError::Checksum)?;
        if checksum(content) != *found {
            return Err(InvitationError::Checksum);
        }
        let (fingerprint, rest) = content.split_first_chunk().ok_or(InvitationError::Checksum)?;
        let (secret, address) = rest.split_first_chunk().ok_or(InvitationError::Checksum)?;
        Self::new(String::from_utf8_lossy(address).into_owned(), *fingerprint, *secret)
    }
}

fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    address.len() <= ADDRESS_BYTES_MAX
        && !host.is_empty()
        && host.bytes().all(is_host_byte)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&blake3::hash(content).as_bytes()[..CHECKSUM_BYTES]);
    sum
}

/// Crockford's base 32: upper and lower case are the same, and letters that look like digits are those digits.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(ALPHABET);
    specification.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZOoIiLl");
    specification.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    match specification.encoding() {
        Ok(encoding) => encoding,
        Err(error) => unreachable!("the alphabet above is sound: {error}"),
    }
});

fn from_base32(text: &str) -> Result<Vec<u8>, InvitationError> {
    let letters: String = text.chars().filter(|found| !found.is_whitespace() && *found != '-').collect();
    BASE32.decode(letters.as_bytes()).map_err(|error| match error.kind {
        DecodeKind::Symbol => {
            let rest = letters.get(error.position..).unwrap_or_default();
            InvitationError::Character { found: rest.chars().next().unwrap_or_default() }
        }
        DecodeKind::Length | DecodeKind::Trailing | DecodeKind::Padding => InvitationError::Checksum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_invitation_round_trips_through_text(
            fingerprint: [u8; 32], secret: [u8; 16], host in "[a-z0-9.-]{1,40}", port in 1u16..,
        ) {
            let made = Invitation::new(format!("{host}:{port}"), fingerprint, secret);
            let invitation = made.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let text = invitation.to_string();
            prop_assert_eq!(text.parse(), Ok(invitation.clone()));
            prop_assert_eq!(text.to_uppercase().parse(), Ok(invitation.clone()));
            let typed = text[PREFIX.len()..].replace('0', "O").replace('1', "l");
            prop_assert_eq!(format!(" {PREFIX}{}\n{} ", &typed[..40], &typed[40..]).parse(), Ok(invitation));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            prop_assert!(text.parse::<Invitation>().is_err());
            let prefixed = format!("{PREFIX}{text}");
            prop_assert!(prefixed.parse::<Invitation>().is_err());
        }

        #[test]
        fn a_typing_mistake_is_found(at in 0usize..98, letter in 0usize..32) {
            let made = Invitation::new("demo:4433".into(), [7; 32], [9; 16]);
            let text = made.map_err(|error| TestCaseError::fail(error.to_string()))?.to_string();
            let mut slipped = text.clone().into_bytes();
            slipped[PREFIX.len() + at] = ALPHABET.as_bytes()[letter];
            let slipped = String::from_utf8_lossy(&slipped).into_owned();
            if slipped != text {
                prop_assert_eq!(slipped.parse::<Invitation>(), Err(InvitationError::Checksum));
            }
        }
    }

    #[test]
    fn addresses_are_host_and_port() {
        let make = |address: &str| Invitation::new(address.into(), [0; 32], [0; 16]);
        assert!(make("[2001:db8::1]:4433").is_ok() && make("192.0.2.1:4433").is_ok());
        for wrong in ["", ":4433", "host", "host:", "host:0", "host:70000", "a b:1", "门店:1"] {
            assert!(matches!(make(wrong), Err(InvitationError::Address { .. })), "{wrong}");
        }
    }

    #[test]
    fn the_secret_stays_out_of_logs() {
        let made = Invitation::new("demo:4433".into(), [7; 32], [99; 16]);
        assert!(!format!("{made:?}").contains("99"));
    }
}
