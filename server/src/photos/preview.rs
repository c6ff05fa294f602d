//! Thumbnails, made from bytes that may be anything.
//!
//! The size in a picture's header is checked against a bound before decoding: a file of some kilobytes can claim
//! enormous dimensions.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use std::io::Cursor;
use xundian_protocol::kinds::MediaType;

/// The longer side of a thumbnail, for screens with two pixels a point.
pub const SIDE_PX: u32 = 480;
/// The most pixels of a picture that is decoded; phones take half of that by default.
const PIXELS_MAX: u64 = 25_000_000;
/// The longest side of a picture that is decoded.
const SIDE_PX_MAX: u32 = 20_000;
/// The most memory of a decoded picture: 25 megapixels of four bytes fit in.
const DECODED_BYTES_MAX: u64 = 128 << 20;
const QUALITY: u8 = 80;

/// Why a picture has no thumbnail.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// There is no decoder for its format.
    #[error("its format is not supported")]
    Format,
    /// It is too large to decode.
    #[error("it has {width} × {height} pixels")]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// It cannot be decoded.
    #[error("it cannot be decoded: {detail}")]
    Damaged {
        /// The decoder's error.
        detail: String,
    },
}

impl From<image::ImageError> for PreviewError {
    fn from(error: image::ImageError) -> Self {
        Self::Damaged { detail: error.to_string() }
    }
}

/// Makes the thumbnail of a picture, a JPEG without any of the picture's metadata, such as where it was taken.
///
/// # Errors
/// Returns an error if it has none.
pub fn make(picture: &[u8]) -> Result<Vec<u8>, PreviewError> {
    let format = match MediaType::of(picture) {
        Some(MediaType::Jpeg) => ImageFormat::Jpeg,
        Some(MediaType::Png) => ImageFormat::Png,
        Some(MediaType::Webp) => ImageFormat::WebP,
        Some(MediaType::Heic) | None => return Err(PreviewError::Format),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PX_MAX);
    limits.max_image_height = Some(SIDE_PX_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(picture), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let is_large =
        u64::from(width) * u64::from(height) > PIXELS_MAX || decoder.total_bytes() > DECODED_BYTES_MAX;
    if is_large {
        return Err(PreviewError::Size { width, height });
    }
    let orientation = decoder.orientation()?;
    let mut small = DynamicImage::from_decoder(decoder)?.thumbnail(SIDE_PX, SIDE_PX);
    small.apply_orientation(orientation);
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, QUALITY).encode_image(&on_white(&small))?;
    Ok(out)
}

/// Draws a picture on white, for its transparent parts.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let from = picture.to_rgba8();
    RgbImage::from_fn(from.width(), from.height(), |x, y| {
        let [red, green, blue, alpha] = from.get_pixel(x, y).0;
        let over = |colour: u8| {
            let mixed = u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from(mixed / 255).unwrap_or(u8::MAX)
        };
        Rgb([over(red), over(green), over(blue)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView as _, ImageReader};

    fn example(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/pictures");
        std::fs::read(format!("{folder}/{name}")).expect("an example of ours")
    }

    fn read(preview: &[u8]) -> DynamicImage {
        ImageReader::with_format(Cursor::new(preview), ImageFormat::Jpeg).decode().expect("made here")
    }

    #[test]
    fn each_form_that_is_decoded_has_a_thumbnail() {
        for name in [
            "baseline.jpg",
            "progressive.jpg",
            "plain.png",
            "palette.png",
            "transparent.png",
            "lossy.webp",
            "lossless.webp",
        ] {
            let small = make(&example(name)).expect(name);
            assert_eq!(MediaType::of(&small), Some(MediaType::Jpeg), "{name}");
            let small = read(&small);
            assert_eq!(small.width() * 32, small.height() * 48, "{name}");
            assert!(small.width() <= SIDE_PX);
            // The red corner, and white where the picture is transparent.
            let red = small.get_pixel(1, 1);
            assert!(red[0] > 150 && red[1] < 110, "{name}: {red:?}");
            if name == "transparent.png" || name == "lossless.webp" {
                let paper = small.get_pixel(small.width() - 1, 0);
                assert!(paper[0] > 200 && paper[1] > 200 && paper[2] > 200, "{name}: {paper:?}");
            }
        }
    }

    #[test]
    fn a_phone_that_was_held_upright_shows_its_picture_upright() {
        let small = read(&make(&example("turned.jpg")).expect("an example"));
        assert!(small.width() < small.height());
        let red = small.get_pixel(small.width() - 2, 1);
        assert!(red[0] > 150 && red[1] < 110, "{red:?}");
    }

    #[test]
    fn what_is_no_picture_or_only_its_beginning_is_an_error() {
        for bytes in [&b""[..], b"GIF89a", b"\0\0\0\x18ftypheic\0\0\0\0", b"<html><script>alert(1)</script>"]
        {
            assert!(matches!(make(bytes), Err(PreviewError::Format)), "{bytes:?}");
        }
        let mut page = b"\xFF\xD8\xFF\xE0".to_vec();
        page.extend(b"<html><script>alert(1)</script>".repeat(9));
        assert!(matches!(make(&page), Err(PreviewError::Damaged { .. })));
        for name in ["baseline.jpg", "plain.png", "lossless.webp"] {
            let whole = example(name);
            assert!(make(&whole[..whole.len() / 4]).is_err(), "{name}");
        }
    }

    /// A PNG with a valid header that claims this size; one byte of data follows.
    fn claimed(width: u32, height: u32) -> Vec<u8> {
        let mut header = b"IHDR".to_vec();
        header.extend(width.to_be_bytes());
        header.extend(height.to_be_bytes());
        header.extend([8, 2, 0, 0, 0]);
        let mut out = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        out.extend(&header);
        out.extend(crc(&header).to_be_bytes());
        let data = b"IDAT\x78";
        out.extend([0, 0, 0, 1]);
        out.extend(data);
        out.extend(crc(data).to_be_bytes());
        out
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_not_decoded() {
        assert!(matches!(make(&claimed(5001, 5000)), Err(PreviewError::Size { .. })));
        for (width, height) in [(100_000, 1), (1, u32::MAX >> 1), (65_535, 65_535)] {
            assert!(make(&claimed(width, height)).is_err(), "{width} × {height}");
        }
    }
}
