"""Pictures that are arrays in NPZ files, as research data sets often ship them; read, measured and decoded only when asked.

An array of 8-bit values is the picture as it is: (height, width) grey or (height, width, 3) RGB. Of other types, whole numbers that all
lie in 0..255 are taken for 8-bit values too; anything else is mapped linearly from its own minimum and maximum to 0..255, which is rule 2
of `nova_bench.images`. A model is sent a PNG of it.

The digest is the sha256 of type, shape and raw values (C order, little-endian), not of the file: an NPZ may hold more than the picture,
such as a clinical note, that no hash of a request should depend on; and packing the same array again does not make it another picture.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nova_bench.errors import DataError
from nova_bench.images import MAX_PIXELS, Image

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PILImage

MAX_BYTES = 1_000_000_000
"""A larger array is refused before it is read: a small NPZ can claim any size."""


class ArrayImage(Image):
    """One picture, an array in an NPZ file.

    Args:
        path: The NPZ file.
        member: The array's name in it.
        name: What errors call it; the file's name by default.

    >>> import numpy as np
    >>> path = getfixture("tmp_path") / "patient.npz"
    >>> np.savez_compressed(path, slo_fundus=np.full((2, 3), 7, np.uint8), note="not for models")
    >>> image = ArrayImage(path, "slo_fundus")
    >>> image.size, image.media_type, image.array().tolist()
    ((3, 2), 'image/png', [[7, 7, 7], [7, 7, 7]])
    """

    __slots__ = ("_member",)

    def __init__(self, path: Path | str, member: str, name: str = "") -> None:
        super().__init__(path, name=name)
        self._member = member

    @property
    def part(self) -> str:
        """Which part of its file it is."""
        return f"::{self._member}"

    @property
    def media_type(self) -> str:
        """The media type in which it is sent."""
        return "image/png"

    def read(self) -> bytes:
        """Return it as an 8-bit PNG: there are no other bytes that stand for it alone.

        Raises:
            DataError: As `pil`.
        """
        return self.png()

    @property
    def digest(self) -> str:
        """The sha256 of type, shape and raw values, in hex."""
        if self._digest is None:
            values = self._values()
            plain = values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
            head = f"{plain.dtype.str} {plain.shape} ".encode()
            self._digest = hashlib.sha256(head + plain.tobytes()).hexdigest()
        return self._digest

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px; reads the array's header only.

        Raises:
            DataError: The file is missing or damaged, or the array is no picture.
        """
        if self._size is None:
            with self._opened() as member:
                shape, _ = self._header(member)
            self._size = (shape[1], shape[0])
        return self._size

    def pil(self) -> PILImage:
        """Return the picture, 8 bits a channel, mode L or RGB, by the rules of this module.

        Raises:
            DataError: The file is missing or damaged, or the array is no picture.
        """
        import numpy as np
        import PIL.Image

        values = self._values()
        values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
        if values.dtype != np.uint8:
            values = _eight_bits(values)
        return PIL.Image.fromarray(np.ascontiguousarray(values))

    def as_stored(self) -> None:
        """Return None: what is stored is an array, of which a PNG is made."""
        return None

    def _opened(self) -> Any:
        assert self._file is not None  # an ArrayImage always has a file
        try:
            # not closed here: the member keeps the file open until it is closed itself
            return zipfile.ZipFile(self._file).open(f"{self._member}.npy")
        except FileNotFoundError as error:
            raise DataError(f"image {self.name} is missing: {self.path}") from error
        except KeyError as error:
            raise DataError(f"image {self.name} has no array {self._member!r}; replace the file") from error
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise DataError(f"image {self.name} is no readable NPZ file; replace the file") from error

    def _header(self, member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of the array, checked."""
        import numpy as np

        try:
            version = np.lib.format.read_magic(member)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(member)
        except Exception as error:  # zlib.error, ValueError, EOFError, and what damaged headers raise
            raise DataError(f"image {self.name} is no readable array; replace the file") from error
        if (
            not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)))
            or 0 in shape
            or dtype.kind not in "buif"
        ):
            raise DataError(
                f"image {self.name} is an array of {dtype} with the shape {shape}; expected numbers, (height, width) or (height, width, 3)"
            )
        if shape[0] * shape[1] > MAX_PIXELS or dtype.itemsize * shape[0] * shape[1] > MAX_BYTES:
            raise DataError(
                f"image {self.name} claims {shape[1]} x {shape[0]} pixels, more than the {MAX_PIXELS:,} that are decoded; scale it down"
            )
        return shape, dtype

    def _values(self) -> np.ndarray:
        """Return the array as stored."""
        import numpy as np

        with self._opened() as member:
            self._header(member)
        with self._opened() as member:
            try:
                return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
            except Exception as error:  # as above
                raise DataError(f"image {self.name} is no readable array; replace the file") from error


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Return an array of any number type as uint8."""
    import numpy as np

    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if low >= 0 and high <= 255 and high > 1 and bool((finite == np.round(finite)).all()):
        return np.nan_to_num(numbers, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8)
    scale = 255.0 / (high - low) if high > low else 0.0
    scaled = (np.nan_to_num(numbers, nan=low, posinf=high, neginf=low) - low) * scale
    return scaled.round().astype(np.uint8)
