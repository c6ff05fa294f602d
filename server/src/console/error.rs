//! Why a page cannot be shown.

use super::link::Link;
use super::texts as t;
use axum::http::StatusCode;
use xundian_protocol::kinds::Label;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// Nothing is at that address.
    #[error("no such page")]
    NotFound,
    /// The user may not see it.
    #[error("outside the scope")]
    Denied,
    /// The user's person holds no position.
    #[error("no position")]
    NoPosition,
    /// A form that was not ours.
    #[error("a forged or expired form")]
    Forged,
    /// The address or the form is not right.
    #[error("bad request: {0:?}")]
    BadRequest(Label),
    /// The address takes other methods.
    #[error("bad method")]
    BadMethod,
    /// More records than a page may be made of; narrower choices go with it.
    #[error("too many records")]
    TooMany(Vec<(String, Link)>),
    /// Too much is asked at once.
    #[error("busy")]
    Busy,
    /// The data could not be read.
    #[error("{0}")]
    Internal(String),
}

impl PageError {
    /// A failure of the store or of a file; what it says goes to the log alone.
    pub(super) fn internal(error: impl std::error::Error) -> Self {
        Self::Internal(error.to_string())
    }

    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Denied | Self::NoPosition | Self::Forged => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) const fn words(&self) -> (Label, Label) {
        match self {
            Self::NotFound => (t::NOT_FOUND, t::NOT_FOUND_TEXT),
            Self::Denied => (t::DENIED, t::DENIED_TEXT),
            Self::NoPosition => (t::DENIED, t::NO_POSITION_TEXT),
            Self::Forged => (t::FORGED, t::FORGED_TEXT),
            Self::BadRequest(text) => (t::BAD_REQUEST, *text),
            Self::BadMethod => (t::BAD_REQUEST, t::BAD_METHOD),
            Self::TooMany(_) => (t::TOO_MANY, t::TOO_MANY_TEXT),
            Self::Busy => (t::BUSY, t::BUSY_TEXT),
            Self::Internal(_) => (t::BROKEN, t::BROKEN_TEXT),
        }
    }
}
