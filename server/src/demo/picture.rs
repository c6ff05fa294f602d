//! The demo's photos: drawn shelves, so that it needs no picture from elsewhere. The drawing matches the visit's shelf
//! check: an absent product leaves a gap.

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use rand::Rng;
use rand::rngs::StdRng;
use xundian_client::ShelfObservation;

const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;
const BOARDS: u32 = 4;
const BOARD_PX: u32 = HEIGHT / BOARDS;
/// Packs are of one product until its facings are used up.
const PACK_PX: u32 = 46;
const QUALITY: u8 = 72;

const WALL: Rgb<u8> = Rgb([226, 222, 212]);
const BOARD: Rgb<u8> = Rgb([128, 118, 104]);
const TICKET: Rgb<u8> = Rgb([250, 248, 240]);
const PACKS: [[u8; 3]; 8] = [
    [34, 94, 168],
    [205, 74, 60],
    [236, 176, 62],
    [60, 140, 96],
    [240, 240, 236],
    [122, 78, 150],
    [58, 166, 178],
    [216, 120, 150],
];

/// Draws a photo of a shelf, as a JPEG. Empty if it cannot be encoded.
pub(super) fn draw(random: &mut StdRng, shelf: &ShelfObservation) -> Vec<u8> {
    let mut picture = RgbImage::from_fn(WIDTH, HEIGHT, |_, y| shaded(WALL, 190 + y % BOARD_PX / 3));
    for board in 1..=BOARDS {
        fill(&mut picture, (0, board * BOARD_PX - 14), (WIDTH, 14), BOARD);
    }
    let mut place = 0;
    for (nth, (gtin, present)) in shelf.present.iter().enumerate() {
        let facings = shelf.facings_own.get(gtin).copied().unwrap_or(0).clamp(1, 6);
        for facing in 0..facings {
            let (board, at) = (place / (WIDTH / PACK_PX), place % (WIDTH / PACK_PX));
            if board >= BOARDS {
                return encoded(&picture);
            }
            let left = at * PACK_PX + 6;
            let floor = (board + 1) * BOARD_PX - 14;
            if *present {
                pack(&mut picture, random, left, floor, PACKS[nth % PACKS.len()]);
            }
            if facing == 0 {
                fill(&mut picture, (left, floor + 2), (30, 10), TICKET);
            }
            place += 1;
        }
    }
    encoded(&picture)
}

/// Draws one pack: a body, a label on it, and light from the left.
fn pack(picture: &mut RgbImage, random: &mut StdRng, left: u32, floor: u32, colour: [u8; 3]) {
    let height = 88 + random.random_range(0..6);
    let (top, width) = (floor - height, PACK_PX - 6);
    for x in 0..width {
        fill(picture, (left + x, top), (1, height), shaded(Rgb(colour), 250 - x * 2));
    }
    fill(picture, (left + 6, top + 26), (width - 12, 26), TICKET);
    fill(picture, (left + 10, top + 34), (width - 22, 4), shaded(Rgb(colour), 200));
}

/// A colour under this much light; 255 is full.
fn shaded(Rgb(colour): Rgb<u8>, light: u32) -> Rgb<u8> {
    Rgb(colour.map(|part| u8::try_from(u32::from(part) * light.min(255) / 255).unwrap_or(u8::MAX)))
}

fn fill(picture: &mut RgbImage, (left, top): (u32, u32), (width, height): (u32, u32), colour: Rgb<u8>) {
    for y in top..(top + height).min(HEIGHT) {
        for x in left..(left + width).min(WIDTH) {
            picture.put_pixel(x, y, colour);
        }
    }
}

fn encoded(picture: &RgbImage) -> Vec<u8> {
    let mut out = Vec::new();
    // Encoding into memory fails only for sizes that JPEG does not support; this size is fine.
    if let Err(error) = JpegEncoder::new_with_quality(&mut out, QUALITY).encode_image(picture) {
        tracing::error!("a photo of the demo cannot be written: {error}");
    }
    out
}
