"""A stranger's ZIP: what `nova-bench submit` writes is read, and every file that two readers could see two things in is refused."""

from __future__ import annotations

import io
import os
import stat
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nova_bench.board.zip_reader import ZipLimits, read_regular, read_zip
from nova_bench.errors import BundleError

NAMES = ("bundle.json", "rows.jsonl", "responses.jsonl")
CONTENT = {"bundle.json": b'{"a": 1}', "rows.jsonl": b"line\n" * 5000, "responses.jsonl": os.urandom(500)}


def expected(name: str) -> bool:
    return name in NAMES


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def packed(members: dict[str, bytes] | list[tuple[zipfile.ZipInfo, bytes]] = CONTENT) -> bytes:
    listed = (
        [(member(name), data) for name, data in members.items()] if isinstance(members, dict) else members
    )
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a name that stands twice, and writes it
        with zipfile.ZipFile(file, "w") as archive:
            for info, data in listed:
                archive.writestr(info, data)
    return file.getvalue()


def read(folder: Path, data: bytes, **limits: int) -> dict[str, bytes]:
    path = folder / "bundle.zip"
    path.write_bytes(data)
    return read_zip(path, expected, ZipLimits(**limits))


def refused(folder: Path, data: bytes, said: str, **limits: int) -> None:
    with pytest.raises(BundleError, match=said):
        read(folder, data, **limits)


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def entry(data: bytes, number: int = 0) -> int:
    """Return where the directory's entry of that number begins."""
    at = struct.unpack("<L", data[-6:-2])[0]
    for _ in range(number):
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return at


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(tmp_path: Path, method: int) -> None:
    listed = [(member(name), data) for name, data in {**CONTENT, "bundle.json": b""}.items()]
    for info, _ in listed:
        info.compress_type = method
    assert read(tmp_path, packed(listed)) == {**CONTENT, "bundle.json": b""}


@pytest.mark.parametrize(
    ("field", "value"),
    [("comment", b"a comment of a member"), ("extra", struct.pack("<HH", 0x7075, 6) + b"../etc")],
)
def test_extra_field_and_comment_of_a_member_are_refused(tmp_path: Path, field: str, value: bytes) -> None:
    listed = [(member(name), data) for name, data in CONTENT.items()]
    setattr(listed[1][0], field, value)
    refused(tmp_path, packed(listed), "extra field")


@pytest.mark.parametrize(
    "name",
    [
        "../bundle.json",
        "/bundle.json",
        "a/../../bundle.json",
        "a//b",
        "./bundle.json",
        "C:bundle.json",
        "..\\bundle.json",
        "folder/",
        "bundle.json\n",
        "bündle.json",
        "bundle.js\u043en",
        "x" * 101,
        " ",
    ],
)
def test_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, packed({name: b"x"}), "leads out of the bundle|printable ASCII|folder")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bundle.zip"]


def test_name_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, packed({**CONTENT, "evil.pkl": b"x"}), "'evil.pkl' is no part of a bundle")


def test_name_with_a_null_is_refused(tmp_path: Path) -> None:
    data = packed({"bundle.jsonX": b"x"})
    refused(tmp_path, data.replace(b"bundle.jsonX", b"bundle.json\0"), "printable ASCII")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (stat.S_IFLNK | 0o777, "a link"),
        (stat.S_IFDIR | 0o755, "a folder"),
        (stat.S_IFIFO | 0o644, "a folder or a device"),
    ],
)
def test_link_folder_and_device_are_refused(tmp_path: Path, mode: int, said: str) -> None:
    refused(tmp_path, packed([(member("bundle.json", mode), b"/etc/passwd")]), said)


def test_dos_folder_bit_is_refused(tmp_path: Path) -> None:
    data = packed({"bundle.json": b"x"})
    refused(tmp_path, patched(data, entry(data) + 38, "<L", 0x10), "a folder")


def test_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = [(member("bundle.json"), b"good"), (member("bundle.json"), b"bad")]
    refused(tmp_path, packed(twice), "stands twice")


def test_members_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed({"bundle.json": b"good", "Bundle.json": b"bad"}))
    with pytest.raises(BundleError, match="stands twice"):
        read_zip(path, lambda name: True)


def _encrypted(data: bytes) -> bytes:
    return patched(patched(data, 6, "<H", 1), entry(data) + 8, "<H", 1)


def _sizes_behind(data: bytes) -> bytes:
    return patched(patched(data, 6, "<H", 8), entry(data) + 8, "<H", 8)


def _bzip2(data: bytes) -> bytes:
    return patched(patched(data, 8, "<H", 12), entry(data) + 10, "<H", 12)


def _in_volume_two(data: bytes) -> bytes:
    return patched(data, entry(data) + 34, "<H", 1)


def _zip64(data: bytes) -> bytes:
    return patched(data, entry(data) + 24, "<L", 0xFFFFFFFF)


def _many(data: bytes) -> bytes:
    return patched(patched(data, len(data) - 14, "<H", 60000), len(data) - 12, "<H", 60000)


def _other_local_name(data: bytes) -> bytes:
    return data[:30] + b"rows.jsonl\0"[: len("bundle.json")] + data[30 + len("bundle.json") :]


def _other_local_size(data: bytes) -> bytes:
    return patched(data, 22, "<L", 3)


def _wrong_checksum(data: bytes) -> bytes:
    return patched(patched(data, 14, "<L", 7), entry(data) + 16, "<L", 7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_encrypted, "encrypted"),
        (_sizes_behind, "behind its data"),
        (_bzip2, r"compression 12"),
        (_in_volume_two, "another volume"),
        (_zip64, "ZIP64"),
        (_many, "60,000 members"),
        (_other_local_name, "two headers that differ"),
        (_other_local_size, "two headers that differ"),
        (_wrong_checksum, "checksum is not"),
        (lambda data: data + b"\0" * 10, "something else behind its end"),
        (lambda data: data + data, "something was put in front"),
        (lambda data: b"MZ\x90" + data, "something was put in front"),
        (lambda data: data[:-30], "no ZIP file"),
        (lambda data: b"", "no ZIP file"),
        (lambda data: b"\x1f\x8b" + b"\0" * 100, "no ZIP file"),
        (lambda data: patched(data, len(data) - 12, "<H", 2), "several volumes"),
        (
            lambda data: patched(patched(data, len(data) - 12, "<H", 4), len(data) - 14, "<H", 4),
            "missing or cut off",
        ),
        (
            lambda data: patched(patched(data, len(data) - 12, "<H", 2), len(data) - 14, "<H", 2),
            "longer than its entries",
        ),
        (lambda data: patched(data, entry(data, 2) + 28, "<H", 60000), "longer than the directory"),
    ],
)
def test_damaged_or_ambiguous_file_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    refused(tmp_path, change(packed()), said)


def test_members_that_share_one_block_are_refused(tmp_path: Path) -> None:
    """The overlapping bomb: many entries of one compressed block (Fifield 2019)."""
    data = packed({"bundle.json": b"x" * 1000})
    at = entry(data)
    one = data[at : len(data) - 22]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, 2 * len(one), at, 0)
    path = tmp_path / "bundle.zip"
    path.write_bytes(data[:at] + one + one.replace(b"bundle.json", b"cundle.json") + end)
    with pytest.raises(BundleError, match="overlaps another"):
        read_zip(path, lambda name: True)


def test_gap_between_members_is_refused(tmp_path: Path) -> None:
    data = packed({"bundle.json": b"x", "rows.jsonl": b"y"})
    second = struct.unpack_from("<L", data, entry(data, 1) + 42)[0]
    wide = data[:second] + b"hidden" + data[second:]
    wide = patched(wide, len(wide) - 6, "<L", entry(data) + 6)
    refused(
        tmp_path, patched(wide, entry(wide, 1) + 42, "<L", second + 6), "in front of it that no member holds"
    )


def test_bytes_between_last_member_and_directory_are_refused(tmp_path: Path) -> None:
    data = packed({"bundle.json": b"x"})
    at = entry(data)
    wide = data[:at] + b"hidden" + data[at:]
    refused(tmp_path, patched(wide, len(wide) - 6, "<L", at + 6), "between the last member and the directory")


def bomb(size: int, stated: int | None = None) -> bytes:
    """Return a ZIP whose one member gives `size` zero bytes, and says that it gives `stated`."""
    data = packed({"bundle.json": b"\0" * size})
    if stated is None:
        return data
    return patched(patched(data, 22, "<L", stated), entry(data) + 24, "<L", stated)


def test_bomb_that_tells_its_size_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    refused(tmp_path, bomb(64 << 20), "would grow from")
    refused(tmp_path, bomb(64 << 20), "come to more than", total=1 << 20)


def test_bomb_that_lies_about_its_size_makes_no_more_than_it_said(tmp_path: Path) -> None:
    data = bomb(256 << 20, stated=1000)
    tracemalloc.start()
    refused(tmp_path, data, "does not hold the 1,000 bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_member_smaller_than_it_says_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, bomb(1000, stated=2000), "does not hold the 2,000 bytes")


def test_limits_hold_over_all_members(tmp_path: Path) -> None:
    data = packed({"bundle.json": os.urandom(600), "rows.jsonl": os.urandom(600)})
    assert len(read(tmp_path, data, total=1200)) == 2
    refused(tmp_path, data, "come to more than 1,199 bytes", total=1199)
    refused(tmp_path, data, "has 2 members", members=1)
    refused(tmp_path, data, r"bundle.zip has .* bytes", compressed=1000)


def test_bytes_behind_the_compressed_data_are_refused(tmp_path: Path) -> None:
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezed = raw.compress(b"honest" * 50) + raw.flush() + b"hidden"
    name, content = b"bundle.json", b"honest" * 50
    head = (0, 8, 0, 0x21, zlib.crc32(content), len(squeezed), len(content), len(name), 0)
    local = struct.pack("<4sH", b"PK\3\4", 20) + struct.pack("<4H3L2H", *head) + name + squeezed
    directory = (
        struct.pack("<4s2H", b"PK\1\2", 0x314, 20) + struct.pack("<4H3L5H2L", *head, 0, 0, 0, 0, 0) + name
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(local), 0)
    refused(tmp_path, local + directory + end, "does not hold the 300 bytes")


def test_link_pipe_folder_and_nothing_are_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "real.zip").write_bytes(packed())
    (tmp_path / "link.zip").symlink_to(tmp_path / "real.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    for name, said in (
        ("link.zip", "is a link"),
        ("pipe.zip", "no regular file"),
        ("none.zip", "cannot be opened"),
    ):
        with pytest.raises(BundleError, match=said):
            read_zip(tmp_path / name, expected)
    with pytest.raises(BundleError, match=r"no regular file"):
        read_regular(tmp_path, 100)


@hypothesis_settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_damage_is_anything_but_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes changed: either the very same members come out, or a `BundleError`, never another exception."""
    whole = bytearray(packed())
    # Most bytes are a member's; those of the headers are hit often enough.
    heads = [*range(60), *range(len(whole) - 250, len(whole))]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.sampled_from(heads), st.integers(0, len(whole) - 1)))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        found = read(tmp_path, bytes(whole))
    except BundleError:
        return
    assert set(found) <= set(NAMES)
    assert all(found[name] == CONTENT[name] for name in found)
