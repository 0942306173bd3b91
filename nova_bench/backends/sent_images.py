"""Pictures as they go to a server: the stored bytes where it takes them, else made anew, once a run.

A picture is made anew where its format is none that APIs take (then it keeps its size), or where it has more pixels than
``max_pixels`` (then it is scaled down, both sides by the same factor, and its size as sent goes into the response, so that boxes in
``px`` come back to the original frame). That takes tens of milliseconds of processor time; stored bytes take none and are not kept.
"""

from __future__ import annotations

import collections
import concurrent.futures
import io
import math
import threading
from typing import NamedTuple

from nova_bench.errors import UsageError
from nova_bench.images import Image

KEPT_BYTES = 256 * 2**20
"""Pictures made anew that are kept for repeats and further questions; the oldest go first."""


class Sent(NamedTuple):
    """A picture as it goes out."""

    data: bytes
    media_type: str
    size: tuple[int, int] | None
    """(width, height) as sent, px, where it was scaled down; None where it has the size that is stored."""


def fitted_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Return the largest size of the same shape with at most `max_pixels` pixels; never larger than it was.

    Args:
        size: (width, height), px.
        max_pixels: 1 or more.

    >>> fitted_size((4000, 3000), 3_000_000), fitted_size((40, 30), 3_000_000), fitted_size((100_000, 1), 100)
    ((2000, 1500), (40, 30), (100, 1))
    """
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    short, long = sorted(size)
    short = max(1, int(short * scale + 1e-9))
    long = min(max(1, int(long * scale + 1e-9)), max_pixels // short)
    return (long, short) if width >= height else (short, long)


class SentImages:
    """Makes pictures ready to be sent; safe to use from several threads, each picture is made once.

    Args:
        max_pixels: The most pixels of a picture; 0 for no limit.
        kept_bytes: How much of what was made anew is kept.

    Raises:
        UsageError: `max_pixels` is negative.

    >>> import PIL.Image
    >>> buffer = io.BytesIO()
    >>> PIL.Image.new("L", (40, 20), 7).save(buffer, "PNG")
    >>> image = Image(data=buffer.getvalue())
    >>> SentImages().make(image).data == image.read(), SentImages(max_pixels=200).make(image).size
    (True, (20, 10))
    """

    def __init__(self, max_pixels: int = 0, kept_bytes: int = KEPT_BYTES) -> None:
        if max_pixels < 0:
            raise UsageError(f"max_pixels={max_pixels}: expected a number of pixels, or 0 for no limit")
        self._max_pixels = max_pixels
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._made: collections.OrderedDict[str, concurrent.futures.Future[Sent]] = collections.OrderedDict()
        self._bytes = 0

    def make(self, image: Image) -> Sent:
        """Return a picture as it is sent.

        Raises:
            DataError: It cannot be read.
        """
        if not self._is_too_large(image):
            stored = image.as_stored()
            if stored is not None:
                return Sent(*stored, None)
        key = image.digest
        with self._lock:
            made = self._made.get(key)
            is_mine = made is None
            if made is None:
                made = self._made[key] = concurrent.futures.Future()
            else:
                self._made.move_to_end(key)
        if is_mine:
            self._fill(key, image, made)
        return made.result()

    def _is_too_large(self, image: Image) -> bool:
        if not self._max_pixels:
            return False
        width, height = image.size
        return width * height > self._max_pixels

    def _fill(self, key: str, image: Image, made: concurrent.futures.Future[Sent]) -> None:
        try:
            sent = self._made_anew(image)
        except BaseException as error:
            with self._lock:
                self._made.pop(key, None)  # a file that was mended may be tried again
            made.set_exception(error)
            return
        made.set_result(sent)
        with self._lock:
            self._bytes += len(sent.data)
            done = [old for old, future in self._made.items() if future.done()]
            for old in done:
                if self._bytes <= self._kept_bytes:
                    break
                self._bytes -= len(self._made.pop(old).result().data)

    def _made_anew(self, image: Image) -> Sent:
        import PIL.Image

        picture = image.pil()
        size = None
        if self._is_too_large(image):
            size = fitted_size(picture.size, self._max_pixels)
            picture = picture.resize(size, PIL.Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        return Sent(buffer.getvalue(), "image/png", size)
