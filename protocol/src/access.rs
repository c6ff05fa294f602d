//! Access: the organisation as a lookup, scopes, and the unit that an outlet counts towards.
//!
//! A [`Directory`] is built from records: on the server from all of them, on a manager's device from those in scope. It
//! answers for any day, because reference data count in the version in force on the day a record was captured. It knows
//! no store and no clock.

mod directory;
mod scope;

pub use directory::{Assignment, Directory, OutletEntry, PersonEntry, PositionEntry, UnitEntry};
pub use scope::{Denied, Grant, Writer, scope_digest};
