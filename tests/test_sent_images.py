"""Pictures as they go out: stored bytes where that is possible, else made once; sizes as sent."""

from __future__ import annotations

import io
import random
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_bench.array_images import ArrayImage
from nova_bench.backends.sent_images import SentImages, fitted_size
from nova_bench.errors import DataError, UsageError
from nova_bench.images import Image


def stored(mode: str = "L", size: tuple[int, int] = (40, 30), form: str = "PNG", seed: int = 0) -> Image:
    depth = {"L": 1, "RGB": 3, "I;16": 2}[mode]
    buffer = io.BytesIO()
    data = random.Random(seed).randbytes(size[0] * size[1] * depth)
    PIL.Image.frombytes(mode, size, data).save(buffer, form)
    return Image(data=buffer.getvalue())


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 10_000_000))
def test_fitted_size_keeps_the_shape_and_the_limit(width: int, height: int, max_pixels: int) -> None:
    new = fitted_size((width, height), max_pixels)
    assert 1 <= new[0] <= width
    assert 1 <= new[1] <= height
    assert new[0] * new[1] <= max(1, max_pixels)
    if width * height <= max_pixels:
        assert new == (width, height)
    elif min(new) > 1:
        scale = (max_pixels / (width * height)) ** 0.5
        assert abs(new[0] - width * scale) <= 1
        assert abs(new[1] - height * scale) <= 1


def test_small_pictures_go_as_stored_and_large_ones_scaled() -> None:
    small, large = stored(), stored("RGB", (80, 60), "JPEG")
    images = SentImages(max_pixels=1200)
    assert images.make(small) == (small.read(), "image/png", None)
    sent = images.make(large)
    assert (sent.media_type, sent.size) == ("image/png", (40, 30))
    made = PIL.Image.open(io.BytesIO(sent.data))
    assert made.size == (40, 30)
    expected = large.pil().resize((40, 30), PIL.Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(made), np.asarray(expected))


def test_a_turned_picture_is_scaled_upright() -> None:
    buffer = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("L", (80, 20)).save(buffer, "JPEG", exif=exif)
    image = Image(data=buffer.getvalue())
    assert image.size == (20, 80)
    assert SentImages(max_pixels=400).make(image).size == (10, 40)
    assert SentImages().make(image).size is None


def test_other_formats_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    pil = Image.pil

    def watch(image: Image) -> PIL.Image.Image:
        decoded.append(image.name)
        return pil(image)

    monkeypatch.setattr(Image, "pil", watch)
    image, images = stored("I;16"), SentImages()
    results = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        results.append(images.make(image))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == 1
    assert len({id(result) for result in results}) == 1
    assert results[0] == (image.png(), "image/png", None)


def test_arrays_are_sent_as_png_and_scaled(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, fundus=np.arange(600, dtype=np.uint8).reshape(20, 30))
    image = ArrayImage(path, "fundus")
    assert SentImages().make(image) == (image.png(), "image/png", None)
    assert SentImages(max_pixels=150).make(image).size == (15, 10)


def test_what_is_kept_is_bounded() -> None:
    pictures = [stored("I;16", seed=i) for i in range(5)]
    size = len(SentImages().make(pictures[0]).data)
    images = SentImages(kept_bytes=2 * size + size // 2)
    first = [images.make(picture) for picture in pictures]
    assert images.make(pictures[4]) is first[4]
    assert images.make(pictures[3]) is first[3]
    again = images.make(pictures[0])
    assert again is not first[0]
    assert again == first[0]


def test_a_picture_that_cannot_be_read_may_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"no picture")
    images = SentImages(max_pixels=100)
    with pytest.raises(DataError, match=r"x\.png"):
        images.make(Image(path))
    path.write_bytes(stored().read())
    assert images.make(Image(path)).size == (11, 8)


def test_negative_limit_is_refused() -> None:
    with pytest.raises(UsageError, match="max_pixels=-1"):
        SentImages(-1)
