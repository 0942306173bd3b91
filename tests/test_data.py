"""Data sets through their three sources: a folder, the embedded set, and the hub through its real client."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback_hub import LoopbackHub

from nova_bench.data import Data, Source, open_data
from nova_bench.errors import DataError
from nova_bench.images import DigestIndex

pytestmark = pytest.mark.real("huggingface_hub on a loopback hub")

SOURCE = Source(
    name="NOVA",
    hub="c-i-ber/Nova",
    revision="main",
    table="data/nova-v1.parquet",
    key="filename",
    images="image_path",
    required=("filename", "case_id", "bboxes"),
    license="CC BY-NC-SA 4.0",
    license_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    mini="nova_mini",
)


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (4, 3), value).save(buffer, "PNG")
    return buffer.getvalue()


def rows_of(n: int) -> list[dict[str, Any]]:
    box = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "source": "gold"}
    return [
        {
            "filename": f"case{i // 2:04d}_{i:03d}.png",
            "case_id": f"case{i // 2:04d}",
            "image_path": f"images/case{i // 2:04d}_{i:03d}.png",
            "meta": {"clinical_history": "pain", "final_diagnosis": "Müller"},
            "bboxes": None if i % 3 == 2 else [box] * (i % 3),
        }
        for i in reversed(range(n))  # the table's order is not that of the names
    ]


def table_bytes(rows: list[dict[str, Any]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def files_of(rows: list[dict[str, Any]], shift: int = 0) -> dict[str, bytes]:
    images = {row["image_path"]: png(i + shift) for i, row in enumerate(rows)}
    return {SOURCE.table: table_bytes(rows), **images}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def opened(tmp_path: Path, where: Path | str, **options: Any) -> Data:
    folders = {"content": tmp_path / "content", "cache": tmp_path / "cache", "config": tmp_path / "config"}
    return open_data(SOURCE, str(where), **folders, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "nova", files_of(rows_of(6)))


# Rows


def test_rows_of_a_folder_are_python_objects_in_the_tables_order(tmp_path: Path, folder: Path) -> None:
    data = opened(tmp_path, folder)
    assert list(data.rows()) == rows_of(6)
    assert list(data.rows()) == rows_of(6)  # a second walk starts afresh
    assert (data.kind, data.revision, data.folder) == ("path", None, folder)


def test_rows_of_the_embedded_set_are_those_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "content" / "nova_mini", files_of(rows_of(3)))
    data = opened(tmp_path, "mini")
    assert list(data.rows()) == rows_of(3)
    assert data.kind == "mini"
    assert data.image("images/case0001_002.png").size == (4, 3)


def test_rows_come_across_row_groups_and_batches(tmp_path: Path) -> None:
    rows = rows_of(2500)
    folder = write(tmp_path / "nova", {SOURCE.table: table_bytes(rows, row_group_size=900)})
    assert [row["filename"] for row in opened(tmp_path, folder).rows()] == [row["filename"] for row in rows]


@pytest.mark.parametrize(
    "name", ["with space", "glob[1]*?", "a:b", "a::b", ".hidden", "__dunder__", "ümlaut", "https:"]
)
def test_rows_of_a_folder_with_an_odd_name(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / name, files_of(rows_of(2)))
    assert list(opened(tmp_path, folder).rows()) == rows_of(2)


def test_rows_need_no_cache_that_can_be_written(tmp_path: Path, folder: Path) -> None:
    nowhere = folder / SOURCE.table / "cache"  # below a file
    data = open_data(SOURCE, str(folder), content=tmp_path, cache=nowhere, config=tmp_path)
    assert len(list(data.rows())) == 6
    assert len(data.digest) == 64


def test_rows_of_a_relative_folder(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert list(opened(tmp_path, "nova").rows()) == rows_of(6)


# Images and their confinement


def test_image_within_the_folder_is_read(tmp_path: Path, folder: Path) -> None:
    image = opened(tmp_path, folder).image("images/case0002_005.png")
    assert image.read() == png(0)
    assert image.name == "images/case0002_005.png"


@pytest.mark.parametrize(
    "relative",
    [
        "/etc/passwd",
        "../secret.png",
        "images/../../secret.png",
        "..\\secret.png",
        "C:\\x.png",
        "a\0b.png",
        "\\\\host\\x.png",
    ],
)
def test_image_path_that_leads_out_is_refused(tmp_path: Path, folder: Path, relative: str) -> None:
    write(tmp_path, {"secret.png": png(1)})
    with pytest.raises(DataError, match="leads out of the data set"):
        opened(tmp_path, folder).image(relative)


def test_image_behind_a_link_out_is_refused(tmp_path: Path, folder: Path) -> None:
    write(tmp_path, {"secret/a.png": png(1), "nova-other/a.png": png(2)})
    (folder / "images" / "file.png").symlink_to(tmp_path / "secret" / "a.png")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "sibling").symlink_to(tmp_path / "nova-other")  # begins with the folder's own name
    (folder / "images" / "hop.png").symlink_to("file.png")
    data = opened(tmp_path, folder)
    for relative in ("images/file.png", "linked/a.png", "sibling/a.png", "images/hop.png"):
        with pytest.raises(DataError, match="leads out of the data set by a link"):
            data.image(relative)


def test_image_behind_a_link_within_is_read(tmp_path: Path, folder: Path) -> None:
    (folder / "images" / "again.png").symlink_to("case0002_005.png")
    (folder / "other").symlink_to("images")
    data = opened(tmp_path, folder)
    assert data.image("images/again.png").read() == data.image("other/case0002_005.png").read() == png(0)


def test_image_of_a_folder_that_is_itself_a_link_is_read(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert opened(tmp_path, tmp_path / "link").image("images/case0002_005.png").read() == png(0)


@pytest.mark.parametrize(
    "relative", ["images/none.png", "nowhere/none.png", "images/case0002_005.png/x.png", "x" * 300]
)
def test_image_that_is_missing_is_named_with_the_way_to_get_it(
    tmp_path: Path, folder: Path, relative: str
) -> None:
    with pytest.raises(DataError, match=r"is missing: .* does not exist") as caught:
        opened(tmp_path, folder).image(relative)
    assert relative in str(caught.value)
    assert "hf download c-i-ber/Nova --repo-type dataset" in str(caught.value)


def test_image_behind_a_broken_link_is_missing(tmp_path: Path, folder: Path) -> None:
    (folder / "images" / "broken.png").symlink_to("gone.png")
    with pytest.raises(DataError, match="is missing"):
        opened(tmp_path, folder).image("images/broken.png")


@pytest.mark.parametrize("relative", [None, "", 3])
def test_image_of_a_row_that_names_none_is_refused(tmp_path: Path, folder: Path, relative: object) -> None:
    with pytest.raises(DataError, match=r"image_path is .*, expected a path"):
        opened(tmp_path, folder).image(relative)


def test_image_path_to_a_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="images is no file"):
        opened(tmp_path, folder).image("images")


# Digest


def test_digest_is_the_same_for_copies_and_changes_with_any_file(tmp_path: Path, folder: Path) -> None:
    first = opened(tmp_path, folder).digest
    shutil.copytree(folder, tmp_path / "copy")
    assert opened(tmp_path, tmp_path / "copy").digest == first
    write(tmp_path / "copy", {"unused.txt": b"x"})
    assert opened(tmp_path, tmp_path / "copy").digest == first
    digests = {first}
    image = tmp_path / "copy" / "images" / "case0000_000.png"
    image.write_bytes(png(200))
    digests.add(opened(tmp_path, tmp_path / "copy").digest)
    image.unlink()
    digests.add(opened(tmp_path, tmp_path / "copy").digest)
    (tmp_path / "copy" / SOURCE.table).write_bytes(table_bytes(rows_of(5)))
    digests.add(opened(tmp_path, tmp_path / "copy").digest)
    assert len(digests) == 4


def test_digest_counts_an_image_outside_as_missing_and_never_reads_it(tmp_path: Path) -> None:
    rows = rows_of(2)
    rows[0]["image_path"] = "../secret.png"
    folder = write(tmp_path / "nova", {SOURCE.table: table_bytes(rows), rows[1]["image_path"]: png(1)})
    before = opened(tmp_path, folder).digest
    write(tmp_path, {"secret.png": png(9)})
    assert opened(tmp_path, folder).digest == before


def test_digest_is_taken_from_the_index_of_the_users_cache(tmp_path: Path, folder: Path) -> None:
    for image in (folder / "images").iterdir():
        os.utime(image, (1_000_000_000, 1_000_000_000))  # old enough to be remembered
    first = opened(tmp_path, folder).digest
    image = folder / "images" / "case0000_000.png"
    stat = image.stat()
    image.write_bytes(bytes(stat.st_size))
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert opened(tmp_path, folder).digest == first  # same size and time: known, so not read
    assert opened(tmp_path, folder, digests=DigestIndex()).digest != first


# Bad input


def test_folder_without_the_table_shows_the_expected_layout(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        opened(tmp_path, tmp_path / "empty")
    message = str(caught.value)
    for part in (
        "empty/data/nova-v1.parquet is missing",
        "filename, case_id, bboxes",
        "<image_path>",
        "hf download c-i-ber/Nova",
    ):
        assert part in message


def test_folder_that_is_not_there_or_is_a_file_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder \(and it is neither mini nor full\)"):
        opened(tmp_path, "mimi")
    with pytest.raises(DataError, match="this is a file; expected the folder that holds"):
        opened(tmp_path, folder / SOURCE.table)
    with pytest.raises(DataError, match="install nova-bench again"):
        opened(tmp_path, "mini")


def test_table_that_lacks_columns_is_refused_with_their_names(tmp_path: Path) -> None:
    rows = [{"filename": "a.png", "image_path": "a.png"}]
    folder = write(tmp_path / "nova", {SOURCE.table: table_bytes(rows)})
    with pytest.raises(DataError, match="lacks the columns case_id, bboxes; it has filename, image_path"):
        opened(tmp_path, folder)


def test_table_with_duplicate_or_missing_keys_is_refused_with_some_named(tmp_path: Path) -> None:
    rows = rows_of(4)
    folder = write(tmp_path / "nova", {SOURCE.table: table_bytes([*rows, rows[0], rows[3], rows[3]])})
    with pytest.raises(
        DataError, match=r"2 values of filename stand in several rows \(case0000_000.png, case0001_003.png\)"
    ):
        opened(tmp_path, folder)
    rows[1]["filename"] = None
    (folder / SOURCE.table).write_bytes(table_bytes(rows))
    with pytest.raises(DataError, match="1 rows have no filename"):
        opened(tmp_path, folder)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "magic"])
def test_table_that_is_damaged_is_refused(tmp_path: Path, folder: Path, damage: str) -> None:
    table = folder / SOURCE.table
    data = table.read_bytes()
    damaged = {"empty": b"", "text": b"filename,case_id\n", "cut": data[:-100], "magic": data[:-4] + b"PAR9"}
    table.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"no readable Parquet file: .*fetch it again"):
        list(opened(tmp_path, folder).rows())


def test_table_with_damaged_pages_is_refused_while_it_is_read(tmp_path: Path) -> None:
    rows = [{**row, "caption": f"{i}" * 40} for i, row in enumerate(rows_of(200))]
    data = bytearray(table_bytes(rows, compression="snappy", use_dictionary=False))
    metadata = pq.read_metadata(io.BytesIO(bytes(data)))
    names = [metadata.row_group(0).column(i).path_in_schema for i in range(metadata.num_columns)]
    start = metadata.row_group(0).column(names.index("caption")).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    folder = write(tmp_path / "nova", {SOURCE.table: bytes(data)})
    with pytest.raises(DataError, match="no readable Parquet file"):
        list(opened(tmp_path, folder).rows())


# Licence


def test_full_data_ask_for_the_licence_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "full")
    message = str(caught.value)
    for part in (
        "CC BY-NC-SA 4.0",
        SOURCE.license_url,
        "--accept-license",
        "--data mini",
        str(tmp_path / "config" / "licenses.toml"),
        '"c-i-ber/Nova" = ',
    ):
        assert part in message
    assert not (tmp_path / "config").exists()


def test_damaged_licence_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"config/licenses.toml": b"nonsense"})
    with pytest.raises(DataError, match=r"licenses.toml cannot be read"):
        opened(tmp_path, "full", accept_license=True)


# The hub, through its real client in a process of its own: HF_ENDPOINT is read when it is imported

CLIENT = """
import json, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
from nova_bench.data import open_data
from nova_bench.errors import DataError
from test_data import SOURCE
root, progress, result = Path(sys.argv[2]), [], {}
try:
    data = open_data(
        SOURCE, "full", content=root, cache=root / "cache", config=root / "config",
        progress=lambda done, total: progress.append((done, total)), **json.loads(sys.argv[3]),
    )
    result = {"revision": data.revision, "digest": data.digest, "progress": progress, "missing": []}
    result["rows"] = [row["filename"] for row in data.rows()]
    for row in data.rows():
        try:
            data.image(row["image_path"]).size
        except DataError as error:
            result["missing"].append(str(error))
except DataError as error:
    result = {"error": str(error)}
print(json.dumps(result))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        yield server


def client(
    hub: LoopbackHub | str, tmp_path: Path, *, env: dict[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    """Open the full data in a process of its own and return what it saw."""
    address = hub if isinstance(hub, str) else hub.url
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    paths = json.dumps([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            CLIENT,
            paths,
            str(tmp_path),
            json.dumps({"accept_license": True, **options}),
        ],
        env={**inherited, **settings, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_full_data_are_downloaded_once_and_equal_a_folder(hub: LoopbackHub, tmp_path: Path) -> None:
    files = files_of(rows_of(6))
    commit = hub.commit({**files, "README.md": b"not needed", "images/unused.png": png(99)})
    first = client(hub, tmp_path)
    assert first["revision"] == commit
    assert first["rows"] == [row["filename"] for row in rows_of(6)]
    assert first["missing"] == []
    assert first["progress"] == [[i, 6] for i in range(1, 7)]
    assert first["digest"] == opened(tmp_path, write(tmp_path / "folder", files)).digest
    assert hub.asked("README.md") == hub.asked("unused.png") == 0
    accepted = (tmp_path / "config" / "licenses.toml").read_text()
    assert accepted.startswith('"c-i-ber/Nova" = "CC BY-NC-SA 4.0 20')
    # the second time the branch is looked up and no file is sent; the licence stays accepted
    hub.requests.clear()
    again = client(hub, tmp_path, accept_license=False)
    assert again == {**first, "progress": []}
    assert [path for method, path, _ in hub.requests if method == "GET"] == [
        "/api/datasets/c-i-ber/Nova/revision/main"
    ]


def test_full_data_that_are_complete_need_no_network(hub: LoopbackHub, tmp_path: Path) -> None:
    commit = hub.commit(files_of(rows_of(3)))
    first = client(hub, tmp_path)
    for options in ({"env": {"HF_HUB_OFFLINE": "1"}}, {"pinned": commit}):
        hub.requests.clear()
        assert client(hub, tmp_path, **options) == {**first, "progress": []}
        assert hub.requests == []
    assert client("http://127.0.0.1:9", tmp_path) == {**first, "progress": []}  # nobody listens there
    hub.status = 503
    assert client(hub, tmp_path) == {**first, "progress": []}


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_full_data_without_network_name_the_ways_on(tmp_path: Path, env: dict[str, str]) -> None:
    error = client("http://127.0.0.1:9", tmp_path, env=env)["error"]
    for part in (
        "out of reach",
        "--data mini",
        "--data FOLDER",
        "hf download c-i-ber/Nova --repo-type dataset --revision main",
    ):
        assert part in error
    assert ("HF_HUB_OFFLINE is set" in error) == ("HF_HUB_OFFLINE" in env)


def test_full_data_of_a_silent_hub_give_up(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(files_of(rows_of(1)))
    hub.silent = 3
    assert "out of reach" in client(hub, tmp_path, env={"HF_HUB_ETAG_TIMEOUT": "1"})["error"]
    assert hub.asked("main") <= 1  # not tried over and over


def test_full_data_that_are_gated_need_a_login_and_access(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(files_of(rows_of(2)))
    hub.gated, hub.granted = True, {"hf_granted"}
    stranger = client(hub, tmp_path)["error"]
    assert "(401)" in stranger
    assert "hf auth login" in stranger
    waiting = client(hub, tmp_path, env={"HF_TOKEN": "hf_waiting"})["error"]
    assert "(403)" in waiting
    assert f"Ask for access at {hub.url}/datasets/c-i-ber/Nova" in waiting
    assert client(hub, tmp_path, env={"HF_TOKEN": "hf_granted"})["missing"] == []


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "without a valid login (401)"), ("hf_other", "no data set c-i-ber/Nova (404)")],
)
def test_full_data_that_are_private_or_absent_say_so(
    hub: LoopbackHub, tmp_path: Path, token: str | None, expected: str
) -> None:
    hub.private = True
    assert expected in client(hub, tmp_path, env={"HF_TOKEN": token} if token else {})["error"]


@pytest.mark.parametrize(
    ("status", "expected"), [(401, "(401)"), (403, "(403)"), (429, "goes on later"), (418, "418")]
)
def test_full_data_of_a_hub_that_answers_with_a_bare_status_say_so(
    hub: LoopbackHub, tmp_path: Path, status: int, expected: str
) -> None:
    hub.status = status
    error = client(hub, tmp_path)["error"]
    assert expected in error
    assert "--data FOLDER" in error


def test_full_data_of_a_recorded_commit_stay_though_the_branch_moved(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    old = hub.commit(files_of(rows_of(4)))
    new = hub.commit(files_of(rows_of(2), shift=50))
    now, then = client(hub, tmp_path), client(hub, tmp_path, pinned=old)
    assert (now["revision"], len(now["rows"])) == (new, 2)
    assert (then["revision"], len(then["rows"])) == (old, 4)
    assert now["digest"] != then["digest"]


def test_full_data_of_a_recorded_commit_that_is_gone_say_so(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(files_of(rows_of(2)))
    error = client(hub, tmp_path, pinned="0" * 40)["error"]
    assert f"commit {'0' * 40} of c-i-ber/Nova, which the run recorded, is gone" in error
    hub.branches.clear()
    assert "has no revision 'main'" in client(hub, tmp_path)["error"]


def test_full_data_in_another_layout_say_what_is_lacking(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit({"README.md": b"moved"})
    assert "has no data/nova-v1.parquet at revision main" in client(hub, tmp_path)["error"]


def test_full_data_lacking_an_image_name_it_when_it_is_asked_for(hub: LoopbackHub, tmp_path: Path) -> None:
    rows = rows_of(3)
    rows[1]["image_path"] = "../../../../../../../../etc/hostname"
    files = files_of(rows)
    hub.commit(
        {name: data for name, data in files.items() if name != rows[0]["image_path"] and ".." not in name}
    )
    result = client(hub, tmp_path)
    assert len(result["rows"]) == 3
    assert len(result["missing"]) == 2
    assert "is missing" in result["missing"][0]
    assert "leads out of the data set" in result["missing"][1]
    assert hub.asked("hostname", "HEAD") == 0


def test_full_data_whose_download_broke_off_go_on_where_it_stopped(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.commit(files_of(rows_of(20)))
    hub.fail_images_after = 5
    assert "503" in client(hub, tmp_path)["error"]
    hub.fail_images_after = None
    hub.requests.clear()
    assert client(hub, tmp_path)["missing"] == []
    assert hub.asked(".png") == 15
