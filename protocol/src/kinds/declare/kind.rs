//! Kinds: what a kind declares, and the `kind!` macro, which makes a typed entity and its [`KindSpec`] from one
//! declaration.

use super::field::{FieldSpec, KeyType, Label};
use super::header;
use super::role::Role;
use crate::figures::Contribution;
use crate::figures::stock_ledger::Stock;
use crate::ids::{ContentHash, KindId};
use crate::record::{Home, Record, RecordKey, Value, Write};

/// The type of home of a kind's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HomeKind {
    /// [`Home::Company`]
    Company,
    /// [`Home::Unit`]
    Unit,
    /// [`Home::Outlet`]
    Outlet,
    /// [`Home::Person`]
    Person,
    /// Any of them.
    Any,
}

impl HomeKind {
    /// Whether a home is of this type.
    pub const fn admits(self, home: Home) -> bool {
        matches!(
            (self, home),
            (Self::Any, _)
                | (Self::Company, Home::Company)
                | (Self::Unit, Home::Unit(_))
                | (Self::Outlet, Home::Outlet(_))
                | (Self::Person, Home::Person(_))
        )
    }
}

/// Bytes that belong to a record and are transferred apart from it, such as a photo's picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// The hash of the bytes.
    pub hash: ContentHash,
    /// The number of bytes.
    pub bytes: u64,
}

/// How records of a kind change (the merge codes of DOMAIN B).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WritePolicy {
    /// Written by its author only; corrected by a new record that names the old one (E, C).
    Event,
    /// Edited field by field by several people; the later edit wins (L).
    Edited,
    /// Written by headquarters; read-only on devices (R).
    Reference,
}

/// The declaration of a kind.
#[derive(Debug)]
pub struct KindSpec {
    /// Its number.
    pub kind: KindId,
    /// Its name in files and JSON.
    pub code: &'static str,
    /// Its name for people.
    pub label: Label,
    /// The type of home of its records.
    pub home: HomeKind,
    /// How its records may change.
    pub write_policy: WritePolicy,
    /// Who may write it, besides headquarters.
    pub writers: &'static [Role],
    /// Its own fields, without those of the header.
    pub fields: &'static [FieldSpec],
    /// The contributions of a record to the figures.
    pub contribute: fn(&Record) -> Vec<Contribution>,
    /// The stock statements of a record, by GTIN.
    pub stock: fn(&Record) -> Vec<(u64, Stock)>,
    /// The attachments of a record.
    pub attachments: fn(&Record) -> Vec<Attachment>,
}

impl KindSpec {
    /// The field with a tag.
    pub fn field(&self, tag: u16) -> Option<&'static FieldSpec> {
        header::FIELDS.iter().chain(self.fields).find(|field| field.tag == tag)
    }

    /// The single field whose value names a record of a kind, if there is one.
    pub fn reference_to(&self, kind: KindId) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|field| field.key == KeyType::Single && field.refers_to == Some(kind))
    }

    /// The name by which people know a record of this kind.
    pub fn display_name(&self, record: &Record) -> Option<String> {
        self.text_of(record, |field| field.display_name)
    }

    /// The code and the name of a record of this kind, if it has them.
    pub fn code_and_name(&self, record: &Record) -> Option<String> {
        let code = self.text_of(record, |field| field.natural_key);
        let both = code.into_iter().chain(self.display_name(record)).collect::<Vec<_>>().join(" ");
        (!both.is_empty()).then_some(both)
    }

    fn text_of(&self, record: &Record, is_meant: impl Fn(&FieldSpec) -> bool) -> Option<String> {
        let field = self.fields.iter().find(|field| is_meant(field))?;
        if let Some(Value::Text(text)) = record.value(field.tag) { Some(text.clone()) } else { None }
    }

    /// The tag of a field. Use it in constants: a name that the kind does not declare does not compile.
    ///
    /// # Panics
    ///
    /// Panics if the kind declares no such field.
    pub const fn tag_of(&self, name: &str) -> u16 {
        let mut at = 0;
        while at < self.fields.len() {
            if is_same(self.fields[at].name.as_bytes(), name.as_bytes()) {
                return self.fields[at].tag;
            }
            at += 1;
        }
        panic!("the kind declares no field of this name")
    }
}

/// Whether two texts are equal, at compile time.
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The typed struct of a kind: what applications fill in and read.
pub trait Entity: Default {
    /// The declaration.
    const SPEC: KindSpec;

    /// The writes for all fields that have a value.
    fn writes(&self) -> Vec<Write>;

    /// Reads the entity of a record. Values of an unknown type and unknown choices are left out.
    fn read(record: &Record) -> Self;

    /// The key of a record of this kind.
    fn key(id: crate::ids::RecordId) -> RecordKey {
        RecordKey { kind: Self::SPEC.kind, id }
    }
}

/// Declares a kind. A field has the form `name: Type = tag, "中文" / "English", Unit;`. A map is a `BTreeMap`, every
/// other field an `Option`. Marks may follow the unit:
///
/// - `required`: a record without the field is refused,
/// - `natural_key`: the code by which people and imports name the record,
/// - `display_name`: the name by which people know the record,
/// - `headquarters`: only headquarters writes the field,
/// - `server`: only the server writes the field.
macro_rules! kind {
    (
        $(#[$doc:meta])*
        $name:ident = $number:literal, $code:literal, $zh:literal / $en:literal;
        home $home:ident; write_policy $write_policy:ident; writers [$($writer:ident),*];
        $(contribute $contribute:path;)?
        $(stock $stock:path;)?
        $(attachments $attachments:path;)?
        { $(
            $(#[$field_doc:meta])*
            $field:ident : $ty:ty = $tag:literal, $field_zh:literal / $field_en:literal, $unit:ident $(, $mark:ident)*;
        )* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $ty, )* }

        impl $crate::kinds::Entity for $name {
            const SPEC: $crate::kinds::KindSpec = $crate::kinds::KindSpec {
                kind: $crate::ids::KindId($number),
                code: $code,
                label: $crate::kinds::Label { zh: $zh, en: $en },
                home: $crate::kinds::HomeKind::$home,
                write_policy: $crate::kinds::WritePolicy::$write_policy,
                writers: &[$($crate::kinds::Role::$writer),*],
                fields: &[$( $crate::kinds::FieldSpec {
                    tag: $tag,
                    name: stringify!($field),
                    label: $crate::kinds::Label { zh: $field_zh, en: $field_en },
                    value: <$ty as $crate::kinds::FieldCodec>::VALUE,
                    key: <$ty as $crate::kinds::FieldCodec>::KEY,
                    refers_to: <$ty as $crate::kinds::FieldCodec>::REFERS_TO,
                    line_refers_to: <$ty as $crate::kinds::FieldCodec>::LINE_REFERS_TO,
                    unit: $crate::kinds::Unit::$unit,
                    choices: <$ty as $crate::kinds::FieldCodec>::CHOICES,
                    required: false $(|| kind!(@required $mark))*,
                    natural_key: false $(|| kind!(@natural_key $mark))*,
                    display_name: false $(|| kind!(@display_name $mark))*,
                    headquarters: false $(|| kind!(@headquarters $mark))*,
                    server: false $(|| kind!(@server $mark))*,
                } ),*],
                contribute: kind!(@or_none $($contribute)?),
                stock: kind!(@or_none $($stock)?),
                attachments: kind!(@or_none $($attachments)?),
            };

            fn writes(&self) -> Vec<$crate::record::Write> {
                let mut writes = Vec::new();
                $( $crate::kinds::FieldCodec::write(&self.$field, $tag, &mut writes); )*
                writes.sort_by(|a, b| a.at.cmp(&b.at));
                writes
            }

            fn read(record: &$crate::record::Record) -> Self {
                let mut form = Self::default();
                $( $crate::kinds::FieldCodec::read(&mut form.$field, record.lines($tag)); )*
                form
            }
        }

        impl $name {
            /// The declaration.
            pub const SPEC: $crate::kinds::KindSpec = <Self as $crate::kinds::Entity>::SPEC;
        }

        $crate::kinds::declare::mirror! { @declaration ($) $name { $(#[$doc])* $name { $( $(#[$field_doc])* $field: $ty, )* } } }
    };
    (@required required) => { true };
    (@required $other:ident) => { false };
    (@natural_key natural_key) => { true };
    (@natural_key $other:ident) => { false };
    (@display_name display_name) => { true };
    (@display_name $other:ident) => { false };
    (@headquarters headquarters) => { true };
    (@headquarters $other:ident) => { false };
    (@server server) => { true };
    (@server $other:ident) => { false };
    (@or_none $path:path) => { $path };
    (@or_none) => { |_| Vec::new() };
}

/// Lists the kinds: defines the table of their declarations and exports a callback macro for their names.
macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// Every kind, in the order of their numbers.
        pub static ALL: [&KindSpec; [$(stringify!($name)),*].len()] = [$(&$name::SPEC),*];

        $crate::kinds::declare::mirror! { @named ($) each_kind, $($name),* }
    };
}

/// Lists the choices: exports a callback macro for their names.
macro_rules! choices {
    ($($name:ident),* $(,)?) => {
        $crate::kinds::declare::mirror! { @named ($) each_choice, $($name),* }
    };
}

pub(crate) use {choices, kind, kinds};
