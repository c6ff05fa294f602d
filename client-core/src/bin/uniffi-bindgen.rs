//! Writes the Kotlin, Swift or Python side of the library from its compiled form; `--help` says how.

fn main() {
    uniffi::uniffi_bindgen_main();
}
