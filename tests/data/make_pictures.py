#!/usr/bin/env python3
"""Generates the small pictures in tests/data/pictures: seeds for the fuzzer and examples for tests. Needs Pillow.

    python3 tests/data/make_pictures.py
"""

from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 48, 32


def shelf(mode: str = "RGB") -> Image.Image:
    """Draws three boards with boxes. The upper left corner is red, so that a rotation is visible."""
    picture = Image.new(mode, (WIDTH, HEIGHT), (236, 232, 224) if mode == "RGB" else (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for board in range(3):
        top = 2 + board * 10
        for box in range(6):
            draw.rectangle((2 + box * 8, top, 7 + box * 8, top + 6), fill=(40 * board + 40, 30 * box + 60, 120))
        draw.line((0, top + 8, WIDTH, top + 8), fill=(90, 80, 70))
    draw.rectangle((0, 0, 11, 7), fill=(220, 20, 20))
    return picture


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    shelf().save(FOLDER / "baseline.jpg", quality=60)
    shelf().save(FOLDER / "progressive.jpg", quality=60, progressive=True)
    # Orientation 6: to be rotated by 90 degrees clockwise. Phones held upright write this.
    turned = Image.Exif()
    turned[0x0112] = 6
    shelf().save(FOLDER / "turned.jpg", quality=60, exif=turned)
    shelf().save(FOLDER / "plain.png", optimize=True)
    shelf("RGBA").save(FOLDER / "transparent.png", optimize=True)
    shelf().convert("P", palette=Image.Palette.ADAPTIVE).save(FOLDER / "palette.png", optimize=True)
    shelf().save(FOLDER / "lossy.webp", quality=50)
    shelf("RGBA").save(FOLDER / "lossless.webp", lossless=True)


if __name__ == "__main__":
    main()
