//! Choices: fields that hold one of several numbered codes, and the `choice!` macro that declares them.

use super::field::Label;

/// A choice among numbered codes.
pub trait Choice: Sized + Copy {
    /// Every number with its code and label.
    const CHOICES: &'static [(i64, &'static str, Label)];
    /// The number.
    fn number(self) -> i64;
    /// The choice with a number, if this version knows it.
    fn from_number(number: i64) -> Option<Self>;

    /// The choice with a code.
    fn from_code(code: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|choice| choice.1 == code).and_then(|choice| Self::from_number(choice.0))
    }

    /// The code in files and JSON.
    fn code(self) -> &'static str {
        Self::CHOICES.iter().find(|choice| choice.0 == self.number()).map_or("", |choice| choice.1)
    }

    /// The name for people.
    fn label(self) -> Label {
        let found = Self::CHOICES.iter().find(|choice| choice.0 == self.number());
        found.map_or(Label { zh: "", en: "" }, |choice| choice.2)
    }
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

        impl $crate::kinds::FieldValue for $name {
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

        $crate::kinds::declare::mirror! { @declaration ($) $name { $(#[$doc])* $name { $( $(#[$variant_doc])* $variant, )* } } }
    };
}

pub(crate) use choice;
