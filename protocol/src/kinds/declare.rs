//! The `kind!` macro: from one declaration a typed form and its [`super::KindSpec`].
//!
//! Each kind and each choice is also a hidden macro of its own name, which hands its declaration to a macro of
//! the caller's. So what mirrors them for another language follows from the declaration, and this crate
//! knows nothing of it.

/// Declares a kind. A field reads `name: Type = tag, "中文" / "English", Unit;`, with `required` at the end
/// where a record without it is refused, `headquarters` where nobody else writes it, and `server` where nobody does but
/// the server itself; a map is a `BTreeMap`, everything else an `Option`.
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
                    value: <$ty as $crate::kinds::types::FieldCodec>::VALUE,
                    key: <$ty as $crate::kinds::types::FieldCodec>::KEY,
                    unit: $crate::kinds::Unit::$unit,
                    choices: <$ty as $crate::kinds::types::FieldCodec>::CHOICES,
                    required: false $(|| kind!(@required $mark))*,
                    headquarters: false $(|| kind!(@headquarters $mark))*,
                    server: false $(|| kind!(@server $mark))*,
                } ),*],
                contribute: kind!(@or_none $($contribute)?),
                stock: kind!(@or_none $($stock)?),
                attachments: kind!(@or_none $($attachments)?),
            };

            fn writes(&self) -> Vec<$crate::record::Write> {
                let mut writes = Vec::new();
                $( $crate::kinds::types::FieldCodec::write(&self.$field, $tag, &mut writes); )*
                writes.sort_by(|a, b| a.at.cmp(&b.at));
                writes
            }

            fn read(record: &$crate::record::Record) -> Self {
                let mut form = Self::default();
                $( $crate::kinds::types::FieldCodec::read(&mut form.$field, record.lines($tag)); )*
                form
            }
        }

        impl $name {
            /// The declaration.
            pub const SPEC: $crate::kinds::KindSpec = <Self as $crate::kinds::Entity>::SPEC;
        }

        kind! { @declaration ($) $name { $(#[$doc])* $name { $( $(#[$field_doc])* $field: $ty, )* } } }
    };
    // `$` comes as an argument, as a macro that is written by a macro cannot write one itself.
    (@declaration ($d:tt) $name:ident { $($declaration:tt)* }) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            ($d mirror:ident) => { $d mirror! { $($declaration)* } };
        }
    };
    (@required required) => { true };
    (@required $other:ident) => { false };
    (@headquarters headquarters) => { true };
    (@headquarters $other:ident) => { false };
    (@server server) => { true };
    (@server $other:ident) => { false };
    (@or_none $path:path) => { $path };
    (@or_none) => { |_| Vec::new() };
}

/// Declares a choice: numbers with codes and labels.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $number:literal, $code:literal, $zh:literal / $en:literal; )* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $( $(#[$variant_doc])* $variant = $number, )* }

        impl $crate::kinds::Choice for $name {
            const CHOICES: &'static [(i64, &'static str, $crate::kinds::Label)] =
                &[$( ($number, $code, $crate::kinds::Label { zh: $zh, en: $en }), )*];

            fn number(self) -> i64 {
                self as i64
            }

            fn from_number(number: i64) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl $crate::kinds::types::FieldValue for $name {
            const TYPE: $crate::record::ValueType = $crate::record::ValueType::Int;
            const CHOICES: &'static [(i64, &'static str, $crate::kinds::Label)] = <Self as $crate::kinds::Choice>::CHOICES;

            fn to_value(&self) -> $crate::record::Value {
                $crate::record::Value::Int($crate::kinds::Choice::number(*self))
            }

            fn from_value(value: &$crate::record::Value) -> Option<Self> {
                match value {
                    $crate::record::Value::Int(number) => <Self as $crate::kinds::Choice>::from_number(*number),
                    _ => None,
                }
            }
        }

        $crate::kinds::declare::kind! { @declaration ($) $name { $(#[$doc])* $name { $( $(#[$variant_doc])* $variant, )* } } }
    };
}

/// Lists the kinds once: the table of their declarations, and a hidden macro that hands their names to a macro
/// of the caller's.
macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// Every kind, in the order of their numbers.
        pub static ALL: [&KindSpec; [$(stringify!($name)),*].len()] = [$(&$name::SPEC),*];

        $crate::kinds::declare::list! { @named ($) each_kind, $($name),* }
    };
}

/// The same for the choices that fields are declared with.
macro_rules! choices {
    ($($name:ident),* $(,)?) => {
        $crate::kinds::declare::list! { @named ($) each_choice, $($name),* }
    };
}

macro_rules! list {
    (@named ($d:tt) $list:ident, $($name:ident),*) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $list {
            ($d mirror:ident) => { $d mirror! { $($name),* } };
        }
    };
}

pub(crate) use {choice, choices, kind, kinds, list};
