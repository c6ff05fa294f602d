//! Why a page cannot be shown.

use super::link::Link;
use super::texts as t;
use axum::http::StatusCode;
use xundian_protocol::kinds::Label;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// There is no such page.
    #[error("no such page")]
    NotFound,
    /// The user may not see it.
    #[error("outside the scope")]
    Denied,
    /// The user's person holds no position.
    #[error("no position")]
    NoPosition,
    /// A forged form.
    #[error("a forged or expired form")]
    Forged,
    /// The address or the form is invalid.
    #[error("bad request: {0:?}")]
    BadRequest(Label),
    /// The address does not accept this method.
    #[error("bad method")]
    BadMethod,
    /// More records than a page may be made from, with narrower choices.
    #[error("too many records")]
    TooMany(Vec<(String, Link)>),
    /// Too many requests at once.
    #[error("busy")]
    Busy,
    /// The data could not be read.
    #[error("{0}")]
    Internal(String),
}

impl PageError {
    /// A failure of the store or of a file; its text goes to the log only.
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
