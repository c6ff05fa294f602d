//! Generates the Kotlin, Swift or Python bindings from the compiled library. `--help` lists the options.

fn main() {
    uniffi::uniffi_bindgen_main();
}
