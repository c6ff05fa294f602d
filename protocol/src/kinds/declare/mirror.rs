//! Callback macros that pass declarations to other crates.
//!
//! Each kind and each choice exports a hidden macro of its own name, and each list of them exports one too. The caller
//! passes the name of its own macro, which then receives the declaration. So the mirror types for other languages
//! follow from the declarations, and this crate knows nothing of those languages.

/// Exports a callback macro for one declaration, or for a list of names.
macro_rules! mirror {
    // `$` is passed as an argument, because a macro cannot write `$` into a macro that it defines.
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
