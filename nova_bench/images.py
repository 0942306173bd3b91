"""Pictures: their bytes as stored, and the one way in which they are decoded.

The rules, for every picture of every data set; boxes are always px of the picture *as displayed*, that is after rule 1:

1. An EXIF orientation is applied. The size of an image is its size after that.
2. 16-bit, 32-bit and floating-point grey values are mapped linearly from the picture's own minimum and maximum to 0..255:
   such files hold scanner units of no fixed range, so any fixed window would make some of them black.
3. Alpha, and a palette's transparent entry, is composited on black, the background of medical images.
4. A palette becomes RGB, black-and-white becomes grey, CMYK and other colour spaces become RGB.
5. Of an animated or multi-page file the first picture counts.
6. A picture of more than `MAX_PIXELS` pixels is refused before it is decoded (a decompression bomb).

A backend that takes the stored format gets the stored bytes (`Image.sendable`), so what a model sees is what the data set ships.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sqlite3
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nova_bench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PILImage

MAX_PIXELS = 100_000_000
"""Larger pictures are refused; a chest X-ray at full resolution has some 10 million pixels."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
SENDABLE = frozenset({"image/png", "image/jpeg", "image/webp"})
"""Formats that the APIs and engines of the field take as they are."""

_EXIF_ORIENTATION = 0x0112


class Image:
    """One picture, as a file or as bytes; read, measured and decoded only when asked.

    Args:
        path: The file that holds it.
        data: Its bytes, where it is not a file.
        name: What errors call it; the file's name by default.

    >>> import PIL.Image
    >>> buffer = io.BytesIO()
    >>> PIL.Image.new("L", (3, 2), 7).save(buffer, "PNG")
    >>> image = Image(data=buffer.getvalue())
    >>> image.size, image.media_type, image.array().tolist()
    ((3, 2), 'image/png', [[7, 7, 7], [7, 7, 7]])
    """

    __slots__ = ("_data", "_digest", "_file", "_size", "name")

    def __init__(self, path: Path | str | None = None, data: bytes | None = None, name: str = "") -> None:
        if (path is None) == (data is None):
            raise DataError("an Image takes either a path or its bytes (data=...)")
        # Kept as a text: a Path costs 5 us to make, and resuming a run makes an Image a sample, twice.
        self._file = None if path is None else os.fspath(path)
        self.name = name or (os.path.basename(self._file) if self._file else "image")
        self._data = data
        self._digest: str | None = None
        self._size: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Image({self.name!r})"

    @property
    def part(self) -> str:
        """Which part of its file it is; empty for a file of its own."""
        return ""

    @property
    def path(self) -> Path | None:
        """The file that holds it; None where it was given as bytes."""
        return None if self._file is None else Path(self._file)

    def read(self) -> bytes:
        """Return the bytes as stored.

        Raises:
            DataError: The file cannot be read.
        """
        if self._data is not None:
            return self._data
        assert self._file is not None  # one of the two is set
        try:
            with open(self._file, "rb", buffering=0) as file:
                return file.read()
        except OSError as error:
            raise DataError(f"image {self.name} cannot be read: {error}") from error

    @property
    def digest(self) -> str:
        """The sha256 of the bytes as stored, in hex."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.read()).hexdigest()
        return self._digest

    @property
    def media_type(self) -> str:
        """The media type that the first bytes show; ``application/octet-stream`` where they show none."""
        if self._data is not None:
            return _media_type(self._data[:16])
        assert self.path is not None  # one of the two is set
        try:
            with self.path.open("rb") as file:
                return _media_type(file.read(16))
        except OSError as error:
            raise DataError(f"image {self.name} cannot be read: {error}") from error

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px as displayed; reads the header only.

        Raises:
            DataError: The file is missing, is no picture or is too large.
        """
        if self._size is None:
            # Pillow would decode a whole PNG to look for an orientation: 0.8 ms against 0.05 ms for a walk over its chunks.
            data = self.read()
            if _is_plain_png(data):
                self._size = struct.unpack_from(">II", data, 16)
                return self._size
            with self._open() as opened:
                width, height = opened.size
                if _orientation(opened) in (5, 6, 7, 8):
                    width, height = height, width
            self._size = (width, height)
        return self._size

    def pil(self) -> PILImage:
        """Return the decoded picture, 8 bits a channel, mode L or RGB, by the rules of this module.

        Raises:
            DataError: The file is missing, damaged, no picture, or too large.
        """
        import PIL.Image
        import PIL.ImageOps

        try:
            with self._open() as opened:
                upright = PIL.ImageOps.exif_transpose(opened)
                return _eight_bits(upright)
        except DataError:
            raise
        except (
            Exception
        ) as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
            raise DataError(f"image {self.name} does not decode: {error}; replace the file") from error

    def array(self) -> np.ndarray:
        """Return the decoded picture as uint8, (height, width) or (height, width, 3)."""
        import numpy as np

        return np.asarray(self.pil())

    def png(self) -> bytes:
        """Return the decoded picture as an 8-bit PNG."""
        buffer = io.BytesIO()
        self.pil().save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def as_stored(self) -> tuple[bytes, str] | None:
        """Return (bytes, media type) as stored where that is an upright 8-bit PNG, JPEG or WebP, which models take; else None.

        Raises:
            DataError: As `pil`.
        """
        data = self.read()
        if _is_plain_png(data):
            return data, "image/png"
        with self._open() as opened:
            plain = opened.mode in ("L", "RGB") and _orientation(opened) == 1
            plain = plain and not getattr(opened, "is_animated", False) and "transparency" not in opened.info
            opened.load()  # a cut file must fail here: a server would take its complaint for the model's
        media_type = _media_type(data[:16])
        return (data, media_type) if plain and media_type in SENDABLE else None

    def sendable(self) -> tuple[bytes, str]:
        """Return (bytes, media type) to send to a model: `as_stored` where there is such a thing, else as an 8-bit PNG.

        Raises:
            DataError: As `pil`.
        """
        return self.as_stored() or (self.png(), "image/png")

    def _open(self) -> PILImage:
        """Open the picture lazily, with the size checked against `MAX_PIXELS`."""
        import PIL.Image

        try:
            with warnings.catch_warnings():
                # Pillow warns from 89 million pixels on; our own limit below speaks more clearly.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                opened = PIL.Image.open(io.BytesIO(self._data) if self.path is None else self.path)  # type: ignore[arg-type]
        except FileNotFoundError as error:
            raise DataError(f"image {self.name} is missing: {self.path}") from error
        except PIL.Image.DecompressionBombError as error:
            raise DataError(f"image {self.name} is refused: {error}") from error
        except (
            Exception
        ) as error:  # UnidentifiedImageError, OSError, and what damaged headers make decoders raise
            raise DataError(
                f"image {self.name} is not a readable picture: {error}; replace the file"
            ) from error
        if opened.size[0] * opened.size[1] > MAX_PIXELS:
            width, height = opened.size
            opened.close()
            raise DataError(
                f"image {self.name} claims {width} x {height} pixels, more than the {MAX_PIXELS:,} that are decoded; scale it down"
            )
        return opened


def _media_type(head: bytes) -> str:
    """Return the media type of a file that begins with `head`."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "application/octet-stream"


def _is_plain_png(data: bytes) -> bool:
    """Return whether bytes are a whole 8-bit grey or RGB PNG without transparency, rotation or animation.

    Walks the chunk headers and checks each checksum, a tenth of a millisecond: Pillow decodes a whole PNG to look for an orientation
    (0.8 ms), which would halve the rate of requests. A cut or damaged file is not plain, and fails when it is decoded.
    """
    if (
        len(data) < 33
        or data[12:16] != b"IHDR"
        or _media_type(data[:16]) != "image/png"
        or data[24] != 8
        or data[25] not in (0, 2)
    ):
        return False
    width, height = struct.unpack_from(">II", data, 16)
    if width * height > MAX_PIXELS:
        return False
    view, at, kind = memoryview(data), 8, b""
    while at + 12 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if kind in (b"tRNS", b"eXIf", b"acTL") or (
            kind in (b"tEXt", b"zTXt", b"iTXt") and b"Raw profile" in data[at + 8 : at + 40]
        ):
            return False
        if end + 4 > len(data) or zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            return False
        at = end + 4
    return kind == b"IEND"


def _orientation(opened: PILImage) -> int:
    """Return the EXIF orientation, 1 for none."""
    try:
        return int(opened.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block raises many kinds; the picture itself may be whole
        return 1


def _eight_bits(picture: PILImage) -> PILImage:
    """Return the picture in mode L or RGB, by rules 2 to 4."""
    import numpy as np
    import PIL.Image

    if picture.mode in ("L", "RGB") and "transparency" not in picture.info:
        picture.load()
        return picture
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, dtype=np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scale = 255.0 / (high - low) if high > low else 0.0
        return PIL.Image.fromarray(np.nan_to_num((values - low) * scale).round().astype(np.uint8))
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("LA", "La"):
        grey = picture.convert("LA")
        black = PIL.Image.new("LA", grey.size, (0, 255))
        return PIL.Image.alpha_composite(black.convert("RGBA"), grey.convert("RGBA")).convert("L")
    if picture.mode in ("RGBA", "RGBa", "PA") or "transparency" in picture.info:
        was_grey = picture.mode == "L"
        black = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 255))
        flat = PIL.Image.alpha_composite(black, picture.convert("RGBA"))
        return flat.convert("L" if was_grey else "RGB")
    return picture.convert("RGB")


class DigestIndex:
    """The sha256 of image files, remembered in the user's cache folder by path, size and modification time.

    Hashing 200,000 pictures at each resume would cost most of a minute; a stat costs microseconds. A file that was changed
    less than two seconds before it was looked at is not remembered: a second change within the clock's grain would go unseen.

    Args:
        folder: The cache folder; None keeps the index in memory. A folder that cannot be written does the same.
    """

    _RACY_NS = 2_000_000_000

    def __init__(self, folder: Path | None = None) -> None:
        self._known: dict[str, tuple[int, int, str]] = {}
        self._new: list[tuple[str, int, int, str]] = []
        self._database: Path | None = None
        self._lock = threading.Lock()
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "digests.sqlite"
            with _connect(path) as connection:
                connection.execute(
                    "create table if not exists digests (path text primary key, size int, mtime_ns int, sha256 text)"
                )
                rows = connection.execute("select path, size, mtime_ns, sha256 from digests")
                self._known = {name: (size, mtime_ns, sha256) for name, size, mtime_ns, sha256 in rows}
            self._database = path
        except (OSError, sqlite3.Error):
            self._known = {}  # a damaged or read-only index costs time, never a run

    def digest(self, image: Image, stat: os.stat_result | None = None) -> str:
        """Return the sha256 of an image's stored bytes, in hex.

        Args:
            image: The picture.
            stat: Of its file, where the caller has it at hand.

        Raises:
            DataError: The file cannot be read.
        """
        if image._file is None or image._digest is not None:
            return image.digest
        path = image._file if image._file.startswith("/") else os.path.abspath(image._file)
        key = path + image.part
        if stat is None:
            try:
                stat = os.stat(path)
            except OSError as error:
                raise DataError(f"image {image.name} cannot be read: {error}") from error
        found = self._known.get(key)
        if found is not None and found[0] == stat.st_size and found[1] == stat.st_mtime_ns:
            image._digest = found[2]
            return found[2]
        sha256 = image.digest
        if time.time_ns() - stat.st_mtime_ns > self._RACY_NS:
            with self._lock:
                self._known[key] = (stat.st_size, stat.st_mtime_ns, sha256)
                self._new.append((key, stat.st_size, stat.st_mtime_ns, sha256))
        return sha256

    def recall(self, path: str, name: str) -> Image:
        """Return the image of a file that was looked at already in this process, with the digest that it had then.

        Args:
            path: Absolute.
            name: What errors call it.
        """
        image = Image(path, name=name)
        known = self._known.get(path)
        image._digest = None if known is None else known[2]
        return image

    def save(self) -> None:
        """Write what is new; a failure to do so costs time on the next start and nothing else."""
        with self._lock:
            if self._database is None or not self._new:
                return
            try:
                with _connect(self._database) as connection:
                    connection.executemany("insert or replace into digests values (?, ?, ?, ?)", self._new)
            except sqlite3.Error:
                return
            self._new.clear()


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection that commits and closes at the end of its block (sqlite3's own only commits)."""
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        yield connection
