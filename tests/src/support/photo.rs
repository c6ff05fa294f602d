//! Pictures for tests: a photo of a shelf if the shared data are present, and generated ones.

use std::path::Path;

/// The path of the shelf photo, relative to this crate; BSD-3, by K4R.
const SHELF: &str = "../../shared/data/photos/shelf_muesli_k4r.jpg";
/// Its size.
const SHELF_BYTES: usize = 2_777_373;

/// Returns the photo of a shelf, or a generated picture of the same size if that is absent.
pub fn shelf() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHELF);
    std::fs::read(path).unwrap_or_else(|_| jpeg(SHELF_BYTES, 1))
}

/// Returns random bytes that start like a JPEG file.
pub fn jpeg(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut picture = vec![0xFF, 0xD8, 0xFF, 0xE0];
    picture.resize_with(bytes.max(4), || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    });
    picture
}
