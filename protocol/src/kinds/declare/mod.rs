//! The declaration language of kinds: fields, the types of their values, choices, and the header of every record. It
//! knows no kind.

mod choice;
mod codec;
mod field;
pub mod header;
mod kind;
mod mirror;
mod role;

pub use choice::Choice;
pub(crate) use choice::choice;
pub use codec::{FieldCodec, FieldValue, KeyedValue, LineKey};
pub use field::{FieldSpec, KeyType, Label, Unit};
pub use header::ClockGrade;
pub use kind::{Attachment, Entity, HomeKind, KindSpec, WritePolicy};
pub(crate) use kind::{choices, kind, kinds};
pub(crate) use mirror::mirror;
pub use role::Role;
