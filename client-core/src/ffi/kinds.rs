//! The business objects and their choices, each from its declaration in [`xundian_protocol::kinds`].

use std::collections::BTreeMap;

use xundian_protocol::calendar::Day;
// Imported as a whole, so that a new kind or id needs no change here.
use xundian_protocol::ids::*;
use xundian_protocol::kinds::*;
use xundian_protocol::record::{Record, Write};

/// Describes the entity of a kind. Every field is optional.
macro_rules! entity {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$field_doc:meta])* $field:ident : $ty:ty, )* }
    ) => {
        #[uniffi::remote(Record)]
        $(#[$doc])*
        pub struct $name {
            $( $(#[$field_doc])* #[uniffi(default)] pub $field: $ty, )*
        }
    };
}

/// Describes a choice.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident, )* }
    ) => {
        #[uniffi::remote(Enum)]
        $(#[$doc])*
        pub enum $name { $( $(#[$variant_doc])* $variant, )* }
    };
}

macro_rules! choices {
    ($($name:ident),*) => { $( xundian_protocol::$name! { choice } )* };
}

macro_rules! kinds {
    ($($name:ident),*) => {
        $( xundian_protocol::$name! { entity } )*

        /// The kinds of business objects.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, uniffi::Enum)]
        pub enum Kind {
            $(
                /// The kind of the entity of this name.
                $name,
            )*
        }

        /// The content of a record of any kind.
        #[derive(Clone, PartialEq, Eq, Debug, uniffi::Enum)]
        pub enum RecordContent {
            $(
                /// The content of a record of this kind.
                $name {
                    /// Its fields.
                    entity: $name,
                },
            )*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns its number.
            pub const fn id(self) -> KindId {
                self.spec().kind
            }

            /// Returns the kind with a number, if this version knows it.
            pub(super) fn of(id: KindId) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.id() == id)
            }

            /// Returns its declaration.
            pub(super) const fn spec(self) -> &'static KindSpec {
                match self { $( Self::$name => &$name::SPEC, )* }
            }
        }

        impl RecordContent {
            /// Reads the content of a record; `None` if this version does not know its kind.
            pub fn read(record: &Record) -> Option<Self> {
                $(
                    if record.key.kind == $name::SPEC.kind {
                        return Some(Self::$name { entity: <$name as Entity>::read(record) });
                    }
                )*
                None
            }

            /// Returns its kind.
            pub(super) const fn kind(&self) -> Kind {
                match self { $( Self::$name { .. } => Kind::$name, )* }
            }

            /// Returns the writes that set its fields.
            pub(super) fn writes(&self) -> Vec<Write> {
                match self { $( Self::$name { entity } => entity.writes(), )* }
            }
        }
    };
}

xundian_protocol::each_choice! { choices }
xundian_protocol::each_kind! { kinds }

#[cfg(test)]
mod tests {
    use super::*;
    use xundian_protocol::record::{Home, RecordKey};

    #[test]
    fn every_kind_has_an_entity() {
        let declared: Vec<_> = ALL.iter().map(|spec| spec.kind).collect();
        let mirrored: Vec<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        assert_eq!(mirrored, declared);
        for spec in ALL {
            let record = Record::empty(RecordKey { kind: spec.kind, id: RecordId::NIL }, Home::Company);
            assert!(RecordContent::read(&record).is_some(), "{}", spec.code);
        }
        let unknown = RecordKey { kind: KindId(u16::MAX), id: RecordId::NIL };
        assert_eq!(RecordContent::read(&Record::empty(unknown, Home::Company)), None);
    }
}
