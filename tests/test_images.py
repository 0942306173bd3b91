"""Every picture is decoded by one set of rules, and boxes are px of the picture as displayed."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from nova_bench.errors import DataError
from nova_bench.images import MAX_PIXELS, DigestIndex, Image


def stored(picture: PIL.Image.Image, format: str = "PNG", **options: object) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return Image(data=buffer.getvalue(), name=f"test.{format.lower()}")


def test_16_bit_values_are_stretched_between_their_own_ends() -> None:
    values = np.array([[1000, 2000], [3000, 4000]], dtype=np.uint16)
    image = stored(PIL.Image.fromarray(values))
    assert image.array().tolist() == [[0, 85], [170, 255]]
    data, media_type = image.sendable()
    assert media_type == "image/png"
    assert np.asarray(PIL.Image.open(io.BytesIO(data))).tolist() == [[0, 85], [170, 255]]


def test_constant_16_bit_picture_is_black() -> None:
    assert stored(PIL.Image.fromarray(np.full((2, 2), 900, dtype=np.uint16))).array().max() == 0


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_rotated_picture_has_the_size_and_pixels_of_its_display(format: str) -> None:
    pixels = np.zeros((40, 80), dtype=np.uint8)
    pixels[:8, :16] = 255  # a bright box at the top left as stored
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: the top left goes to the top right
    image = stored(PIL.Image.fromarray(pixels), format, exif=exif.tobytes())
    assert image.size == (40, 80)
    shown = image.array()
    assert shown.shape == (80, 40)
    x0, y0, x1, y1 = 32, 0, 40, 16  # the same box, px of the picture as displayed
    assert shown[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].min() > 200
    assert shown[20:, :30].max() < 60
    data, _ = image.sendable()
    assert PIL.Image.open(io.BytesIO(data)).size == (40, 80)


def test_alpha_is_laid_on_black() -> None:
    picture = PIL.Image.new("RGBA", (2, 1), (200, 100, 50, 255))
    picture.putpixel((1, 0), (200, 100, 50, 0))
    image = stored(picture)
    assert image.array().tolist() == [[[200, 100, 50], [0, 0, 0]]]
    grey = PIL.Image.new("LA", (2, 1), (200, 255))
    grey.putpixel((1, 0), (200, 0))
    assert stored(grey).array().tolist() == [[200, 0]]


def test_palette_becomes_rgb_and_its_transparent_entry_black() -> None:
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60] + [0] * 762)
    picture.putpixel((1, 0), 1)
    assert stored(picture).array().tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert stored(picture, transparency=1).array().tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_cmyk_jpeg_becomes_rgb_and_is_sent_as_png() -> None:
    image = stored(PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert image.pil().mode == "RGB"
    red, green, blue = image.array()[4, 4]
    assert red > 200
    assert max(green, blue) < 60
    assert image.sendable()[1] == "image/png"


def test_black_and_white_becomes_grey() -> None:
    assert stored(PIL.Image.new("1", (1, 1), 1)).array().tolist() == [[255]]


@pytest.mark.parametrize(
    ("format", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_plain_8_bit_picture_is_sent_as_stored(format: str, media_type: str) -> None:
    image = stored(PIL.Image.new("L" if format != "WEBP" else "RGB", (9, 7), 120), format)
    assert image.sendable() == (image.read(), media_type)
    assert image.size == (9, 7)


def test_missing_text_and_cut_files_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        Image(tmp_path / "none.png").pil()
    with pytest.raises(DataError, match="not a readable picture"):
        Image(data=b"no picture at all").size  # noqa: B018
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    for format in ("PNG", "JPEG"):
        whole = stored(PIL.Image.fromarray(noise), format).read()
        cut = Image(data=whole[: len(whole) // 2])
        with pytest.raises(DataError):
            cut.pil()
        with pytest.raises((DataError, OSError)):
            cut.sendable()


def test_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 10
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (header, body, b"IEND")
    ]
    bomb = Image(data=b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    for ask in (bomb.pil, bomb.sendable, lambda: bomb.size):
        with pytest.raises(DataError, match="pixels"):
            ask()


def test_digest_index_remembers_a_file_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    os.utime(file, ns=(0, time.time_ns() - 10**10))
    index = DigestIndex(tmp_path / "cache")
    first = index.digest(Image(file))
    index.save()
    again = DigestIndex(tmp_path / "cache")
    assert again.digest(Image(file)) == first
    file.write_bytes(b"two")
    assert again.digest(Image(file)) != first


def test_digest_index_does_not_remember_a_file_that_may_change_within_the_clocks_grain(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    stamp = file.stat().st_mtime_ns
    index = DigestIndex(tmp_path / "cache")
    first = index.digest(Image(file))
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp, stamp))
    assert index.digest(Image(file)) != first


def test_damaged_index_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "digests.sqlite").write_bytes(b"not a database, surely" * 100)
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    index = DigestIndex(tmp_path)
    assert len(index.digest(Image(file))) == 64
    index.save()
