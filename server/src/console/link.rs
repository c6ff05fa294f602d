//! Addresses within the console.

use std::fmt;

/// An address within the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link(String);

impl Link {
    /// A path.
    pub(super) fn to(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        percent_encode(&value.to_string(), &mut self.0);
        self
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Escapes a text for a query (RFC 3986: all but the unreserved characters).
fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_query_is_encoded() {
        let link = Link::to("/login").with("next", "/?day=1&x=巡");
        assert_eq!(link.to_string(), "/login?next=%2F%3Fday%3D1%26x%3D%E5%B7%A1");
    }
}
