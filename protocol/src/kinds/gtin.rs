//! GTINs: the numbers of trade items.

use std::fmt;
use std::str::FromStr;

/// A GS1 trade item number in its 14-digit form, with a verified check digit (GS1 General Specifications 7.9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Gtin(u64);

/// Why a text or number is not a GTIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GtinError {
    /// It does not have 8, 12, 13 or 14 digits.
    #[error("{text:?} is no GTIN: it has {len} characters; a GTIN has 8, 12, 13 or 14 digits")]
    Length {
        /// What was given.
        text: String,
        /// Its length in characters.
        len: usize,
    },
    /// It contains something other than digits.
    #[error("{text:?} is no GTIN: it may hold digits only")]
    NotDigits {
        /// What was given.
        text: String,
    },
    /// The check digit is wrong.
    #[error("{text} is no GTIN: its check digit is {found}, but the other digits ask for {expected}")]
    CheckDigit {
        /// What was given.
        text: String,
        /// The last digit.
        found: u64,
        /// The correct check digit.
        expected: u64,
    },
}

impl Gtin {
    const END: u64 = 100_000_000_000_000;

    /// A GTIN from its digits as a number.
    ///
    /// # Errors
    /// Returns an error if the number is too long or the check digit is wrong.
    pub fn new(number: u64) -> Result<Self, GtinError> {
        if number == 0 || number >= Self::END {
            let text = number.to_string();
            return Err(GtinError::Length { len: text.len(), text });
        }
        let expected = check_digit(number / 10);
        if number % 10 != expected {
            return Err(GtinError::CheckDigit {
                text: format!("{number:014}"),
                found: number % 10,
                expected,
            });
        }
        Ok(Self(number))
    }

    /// A GTIN from all digits but the check digit.
    ///
    /// # Errors
    /// Returns an error if the number is too long.
    pub fn with_check_digit(body: u64) -> Result<Self, GtinError> {
        Self::new(body.saturating_mul(10).saturating_add(check_digit(body)))
    }

    /// Its digits as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The mod-10 check digit of GS1: weights 3 and 1 from the right.
fn check_digit(mut body: u64) -> u64 {
    let mut sum = 0;
    let mut weight = 3;
    while body > 0 {
        sum += body % 10 * weight;
        weight = 4 - weight;
        body /= 10;
    }
    (10 - sum % 10) % 10
}

impl FromStr for Gtin {
    type Err = GtinError;
    fn from_str(text: &str) -> Result<Self, GtinError> {
        let len = text.chars().count();
        if !matches!(len, 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { text: text.chars().take(32).collect(), len });
        }
        let not_digits = || GtinError::NotDigits { text: text.to_owned() };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_digits());
        }
        Self::new(text.parse().map_err(|_| not_digits())?)
    }
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_verified() {
        assert_eq!("6901234567892".parse::<Gtin>().map(|g| g.to_string()).as_deref(), Ok("06901234567892"));
        assert!(matches!("6901234567893".parse::<Gtin>(), Err(GtinError::CheckDigit { expected: 2, .. })));
        assert!(matches!("00242".parse::<Gtin>(), Err(GtinError::Length { len: 5, .. })));
        assert!(matches!("69012345678９2".parse::<Gtin>(), Err(GtinError::NotDigits { .. })));
        assert!(matches!("00000000".parse::<Gtin>(), Err(GtinError::Length { .. })));
    }
}
