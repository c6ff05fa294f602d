//! Callback macros that hand declarations to other crates.
//!
//! Each kind and each choice exports a hidden macro of its own name, and each list of them one too. A caller passes the
//! name of its own macro, which then receives the declaration. So the types of other languages follow from the
//! declarations, and this crate knows nothing of them.

/// Exports a callback macro for one declaration, or for a list of names.
macro_rules! mirror {
    // `$` comes as an argument, as a macro that is written by a macro cannot write one itself.
    (@declaration ($d:tt) $name:ident { $($declaration:tt)* }) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            ($d mirror:ident) => { $d mirror! { $($declaration)* } };
        }
    };
    (@named ($d:tt) $list:ident, $($name:ident),*) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $list {
            ($d mirror:ident) => { $d mirror! { $($name),* } };
        }
    };
}

pub(crate) use mirror;
