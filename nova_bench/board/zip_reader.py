"""A ZIP file of a stranger: read into memory by its own few rules, never unpacked to where its names say.

What is read is the part of APPNOTE.TXT 6.3.10 that `nova-bench submit` writes: members stored or deflated, one behind the other from the
first byte to the directory, each name and size the same in both of its headers, and the directory's end at the file's end. Everything
else is refused, because whatever two readers can see differently in one file can be used to show them two things:

- members that overlap, or that have something between them: one small block could be read a thousand times;
- sizes that lie: what comes out is counted while it comes out, and never more is made than was said, and than the limits allow;
- names that are not on the list: so no folder, no ``..``, no drive, no link can be meant; names twice; names in any other alphabet;
- encrypted members, members in several volumes, ZIP64, other compressions, sizes behind the data, anything in front;
- extra fields and comments of members: field 0x7075 gives a member another name, for readers who know it.

Python's ``zipfile`` is not used: it takes the sizes of the directory as they stand, reads all of its entries first, and finds an archive
inside another file.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nova_bench.board.layout import MAX_BUNDLE_BYTES, MAX_MEMBERS, MAX_TOTAL_BYTES
from nova_bench.errors import BundleError

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_LEVEL_BITS, _UTF8 = 0b110, 1 << 11
_ENCRYPTED, _SIZES_BEHIND = 1 | 1 << 6 | 1 << 13, 1 << 3
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """How much of a stranger's file is read."""

    compressed: int = MAX_BUNDLE_BYTES
    """Bytes of the file."""
    total: int = MAX_TOTAL_BYTES
    """Bytes of all members together, as they come out."""
    members: int = MAX_MEMBERS
    ratio: int = 300
    """Bytes that may come out for one that went in, where a member is larger than `free`. Deflate reaches 1,032."""
    free: int = 1 << 20


class _Member(NamedTuple):
    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    flags: int


def read_zip(
    path: Path, is_expected: Callable[[str], bool], limits: ZipLimits | None = None
) -> dict[str, bytes]:
    """Return the members of a ZIP file by name.

    Args:
        path: The file; a regular one, no link.
        is_expected: Whether a name is one that a bundle may have.
        limits: How much is read.

    Raises:
        BundleError: The file is no such ZIP, or anything in it is not as it should be; the message says what.
    """
    limits = limits or ZipLimits()
    return members_of(read_regular(path, limits.compressed), is_expected, limits)


def members_of(
    data: bytes, is_expected: Callable[[str], bool], limits: ZipLimits | None = None
) -> dict[str, bytes]:
    """Return the members of a ZIP file that was read, by name.

    Args:
        data: The file.
        is_expected: As for `read_zip`.
        limits: As for `read_zip`.

    Raises:
        BundleError: As for `read_zip`.
    """
    limits = limits or ZipLimits()
    members = _directory(data, limits)
    _check_names(members, is_expected)
    _check_places(members, data)
    left = limits.total
    found: dict[str, bytes] = {}
    for member in members:
        found[member.name] = _unpacked(member, data, left, limits)
        left -= len(found[member.name])
    return found


def read_regular(path: Path, most: int) -> bytes:
    """Return what a file holds that is no link, pipe or device.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        BundleError: It is not there, is something else, or is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = (
            "is a link; give the file itself" if path.is_symlink() else f"cannot be opened ({error.strerror})"
        )
        raise BundleError(f"{path.name} {why}") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise BundleError(f"{path.name} is no regular file; give the file that `nova-bench submit` wrote")
        with open(descriptor, "rb", closefd=False) as file:
            # One more than there was: reading makes room for all that it is asked for.
            data = b"" if about.st_size > most else file.read(about.st_size + 1)
    finally:
        os.close(descriptor)
    if about.st_size > most or len(data) > most:
        raise BundleError(
            f"{path.name} has {max(about.st_size, len(data)):,} bytes; at most {most:,} are read"
        )
    return data


def _directory(data: bytes, limits: ZipLimits) -> list[_Member]:
    """Return the entries of the directory, which ends where its end record begins, which ends with the file."""
    if len(data) < _END.size or data[-_END.size :][:4] != b"PK\5\6":
        raise BundleError(
            "it is no ZIP file, is cut off, or has a comment or something else behind its end; expected the file that `nova-bench submit` wrote"
        )
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(data[-_END.size :])
    if disk or first_disk or here != count or comment:
        raise BundleError(
            "its end record speaks of several volumes or of a comment; expected one file without"
        )
    if 0xFFFF in (here, count) or 0xFFFFFFFF in (size, start):
        raise BundleError("it is a ZIP64 file; expected a plain one")
    if count > limits.members:
        raise BundleError(f"it has {count:,} members; at most {limits.members} are read")
    if start + size != len(data) - _END.size:
        raise BundleError(
            "its directory does not end where its end record begins; something was put in front or in between"
        )
    members, at, end = [], start, start + size
    for _ in range(count):
        if at + _ENTRY.size > end or data[at : at + 4] != b"PK\1\2":
            raise BundleError("its directory is damaged: an entry is missing or cut off")
        entry = _ENTRY.unpack_from(data, at)
        (
            _,
            made_by,
            _,
            flags,
            method,
            _,
            _,
            crc,
            packed,
            full,
            n_name,
            n_extra,
            n_comment,
            disk,
            _,
            mode,
            offset,
        ) = entry
        if n_extra or n_comment:
            raise BundleError("a member has an extra field or a comment; expected neither")
        behind = at + _ENTRY.size + n_name
        if behind > end:
            raise BundleError("its directory is damaged: an entry is longer than the directory")
        name = _name(data[at + _ENTRY.size : at + _ENTRY.size + n_name])
        if disk or 0xFFFFFFFF in (packed, full, offset):
            raise BundleError(f"member {name} is in another volume or in ZIP64 form; expected a plain one")
        _check_kind(name, made_by, mode, flags, method)
        members.append(_Member(name, method, crc, packed, full, offset, flags))
        at = behind
    if at != end:
        raise BundleError("its directory is damaged: it is longer than its entries")
    return members


def _name(raw: bytes) -> str:
    """Return a member's name where it has only printable ASCII and leads nowhere."""
    if not raw or len(raw) > _MAX_NAME or not all(0x20 < byte < 0x7F for byte in raw):
        raise BundleError(
            f"a member is called {raw[:_MAX_NAME]!r}; expected printable ASCII, at most {_MAX_NAME} characters"
        )
    name = raw.decode("ascii")
    parts = name.split("/")
    if "\\" in name or ":" in name or "" in parts or "." in parts or ".." in parts:
        raise BundleError(
            f"member {name!r} leads out of the bundle, or is a folder; expected a plain relative path"
        )
    return name


def _check_kind(name: str, made_by: int, mode: int, flags: int, method: int) -> None:
    """Raise where a member is anything but a plain file, stored or deflated."""
    kind = stat.S_IFMT(mode >> 16)
    # Only Unix (3) and macOS (19) keep a file's kind there; what another system puts in is no kind, and must not look like one.
    if kind not in (0, stat.S_IFREG) or mode & 0x10:
        what = "a link" if stat.S_ISLNK(mode >> 16) else "a folder or a device"
        raise BundleError(f"member {name} is {what} (made by system {made_by >> 8}); expected a regular file")
    if flags & _ENCRYPTED:
        raise BundleError(f"member {name} is encrypted; expected one that can be read")
    if flags & _SIZES_BEHIND:
        raise BundleError(f"member {name} states its size behind its data; expected it in front")
    if flags & ~(_LEVEL_BITS | _UTF8) or method not in (_STORED, _DEFLATED):
        raise BundleError(
            f"member {name} has flags {flags:#x} and compression {method}; expected stored (0) or deflated (8)"
        )


def _check_names(members: list[_Member], is_expected: Callable[[str], bool]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.name.casefold() in seen:
            raise BundleError(f"member {member.name} stands twice; two readers could take two different ones")
        seen.add(member.name.casefold())
        if not is_expected(member.name):
            raise BundleError(f"member {member.name!r} is no part of a bundle; nothing else may be in it")


def _check_places(members: list[_Member], data: bytes) -> None:
    """Raise where members do not follow each other from the first byte to the directory, or their two headers differ."""
    end = 0
    (start_of_directory,) = struct.unpack("<L", data[-6:-2])
    for member in sorted(members, key=lambda member: member.offset):
        if member.offset != end:
            how = (
                "overlaps another"
                if member.offset < end
                else "has something in front of it that no member holds"
            )
            raise BundleError(f"member {member.name} {how}; expected one member behind the other")
        end = _data_start(member, data) + member.packed
        if end > start_of_directory:
            raise BundleError(f"member {member.name} reaches into the directory; expected it in front of it")
    if end != start_of_directory:
        raise BundleError("something lies between the last member and the directory; expected nothing")


def _data_start(member: _Member, data: bytes) -> int:
    """Return where a member's bytes begin, its own header being the same as its entry in the directory."""
    if member.offset + _LOCAL.size > len(data) or data[member.offset : member.offset + 4] != b"PK\3\4":
        raise BundleError(f"member {member.name} has no header where the directory says")
    _, _, flags, method, _, _, crc, packed, size, n_name, n_extra = _LOCAL.unpack_from(data, member.offset)
    if n_extra:
        raise BundleError(f"member {member.name} has an extra field; expected none")
    start = member.offset + _LOCAL.size
    stated = (data[start : start + n_name], flags, method, crc, packed, size)
    expected = (
        member.name.encode("ascii"),
        member.flags,
        member.method,
        member.crc,
        member.packed,
        member.size,
    )
    if stated != expected:
        raise BundleError(
            f"member {member.name} has two headers that differ; expected the same name, sizes and checksum in both"
        )
    return int(start + n_name)


def _unpacked(member: _Member, data: bytes, left: int, limits: ZipLimits) -> bytes:
    """Return what a member holds, of which never more is made than it says and than is allowed."""
    if member.size > left:
        raise BundleError(f"its members come to more than {limits.total:,} bytes; at most that many are read")
    if member.size > limits.free and member.size > limits.ratio * member.packed:
        raise BundleError(
            f"member {member.name} would grow from {member.packed:,} to {member.size:,} bytes; expected at most {limits.ratio} times"
        )
    start = _data_start(member, data)
    packed = memoryview(data)[start : start + member.packed]
    if member.method == _STORED:
        content = bytes(packed)
        is_whole = True
    else:
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = unpack.decompress(packed, member.size + 1)
        except zlib.error as error:
            raise BundleError(f"member {member.name} is damaged: {error}") from None
        is_whole = unpack.eof and not unpack.unused_data
    if len(content) != member.size or not is_whole:
        raise BundleError(
            f"member {member.name} does not hold the {member.size:,} bytes that its header states"
        )
    if zlib.crc32(content) != member.crc:
        raise BundleError(f"member {member.name} is damaged: its checksum is not the stated one")
    return content
