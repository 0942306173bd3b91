"""A data set of one's own: a folder with a table, CSV or Parquet, and pictures, on no hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nova_bench as nb
from nova_bench.data import Data, open_data
from nova_bench.hosted import check_hosted
from nova_bench.render import task_page
from nova_bench.scaffold import write_task

SOURCE = nb.Source.local("Ward 7", table="table.csv", key="id", images="file", required=("sex",))
GOOD = 'id,file,sex,note\n007,a.png,female,"one, two\nthree"\n008,b.png, ,\n'


def folder_of(tmp_path: Path, table: str | bytes) -> Path:
    folder = tmp_path / "ward"
    folder.mkdir()
    (folder / "table.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    for i, name in enumerate(("a.png", "b.png")):
        PIL.Image.new("L", (8, 6), 40 * i).save(folder / name)
    return folder


def opened(tmp_path: Path, where: Path | str, source: nb.Source = SOURCE) -> Data:
    return open_data(
        source, str(where), content=tmp_path, cache=tmp_path / "cache", config=tmp_path / "config"
    )


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cells_of_a_csv_file_are_texts_and_empty_ones_none(tmp_path: Path, mark: bytes, end: str) -> None:
    data = opened(tmp_path, folder_of(tmp_path, mark + GOOD.replace("\n", end).encode()))
    rows = list(data.rows())
    assert data.n_rows == 2
    assert [row["id"] for row in rows] == ["007", "008"]
    assert [row["sex"] for row in rows] == ["female", None]
    assert [row["note"] for row in rows] == [f"one, two{end}three", None]
    assert [data.image(row["file"]).size for row in rows] == [(8, 6)] * 2


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    lines = [f"{i},a.png,female" for i in range(25_000)]
    data = opened(tmp_path, folder_of(tmp_path, "id,file,sex\n" + "\n".join(lines) + "\n"))
    assert [row["id"] for row in data.rows()] == [str(i) for i in range(25_000)]


def test_digest_follows_the_table_and_the_pictures(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GOOD)
    first = opened(tmp_path, folder).digest
    assert opened(tmp_path, folder).digest == first
    PIL.Image.new("L", (9, 6), 9).save(folder / "b.png")
    second = opened(tmp_path, folder).digest
    (folder / "table.csv").write_text(GOOD.replace("female", "male"))
    assert len({first, second, opened(tmp_path, folder).digest}) == 3


def test_parquet_serves_as_well_and_keeps_its_types(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GOOD)
    rows = [{"id": "x", "file": "a.png", "sex": None, "age": 61}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "t.parquet")
    assert list(opened(tmp_path, folder, replace(SOURCE, table="t.parquet")).rows()) == rows


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "no readable CSV file: Empty CSV file"),
        ("id;file;sex\n1;a.png;female\n", "separated by semicolons; save it with commas"),
        ("id\tfile\tsex\n1\ta.png\tf\n", "separated by tabs"),
        ("id,file,sex,sex\n1,a.png,f,f\n", "two columns 'sex'; rename one"),
        ("id,file\n1,a.png\n", "lacks the column sex; it has id, file. Expected what the task names"),
        ("id,file,sex\n1,a.png\n", "no readable CSV file: .*[Ee]xpected 3 columns, got 2"),
        ("id,file,sex\n1,a.png,m\xfcnnlich\n".encode("latin-1"), "save it as UTF-8"),
        ("id,file,sex\n1,a.png,f\n1,b.png,f\n", "values of id stand in several rows \\(1\\)"),
        ("id,file,sex\n1,a.png,f\n ,b.png,f\n", "1 rows have no id"),
    ],
)
def test_table_that_does_not_fit_is_refused_with_what_to_do(
    tmp_path: Path, table: str | bytes, message: str
) -> None:
    with pytest.raises(nb.DataError, match=message):
        opened(tmp_path, folder_of(tmp_path, table))


def test_picture_that_is_missing_is_said_without_a_hub(tmp_path: Path) -> None:
    data = opened(tmp_path, folder_of(tmp_path, GOOD.replace("a.png", "c.png")))
    with pytest.raises(nb.DataError, match=r"c.png is missing.*or correct the table's column file") as raised:
        data.image("c.png")
    assert "hf download" not in str(raised.value)


@pytest.mark.parametrize("where", ["full", "mini", "nowhere"])
def test_folder_that_was_not_named_is_asked_for(tmp_path: Path, where: str) -> None:
    with pytest.raises(nb.DataError, match=r"--data|table\.csv") as raised:
        opened(tmp_path, where if where != "nowhere" else tmp_path / where)
    assert "hf download" not in str(raised.value)
    assert "--data full" not in str(raised.value)


def test_pictures_of_ones_own_do_not_go_to_a_vendor_unasked(tmp_path: Path) -> None:
    model = nb.load_model("openai:m", {"base_url": "https://api.example.com/v1", "key_env": "none"})
    with pytest.raises(
        nb.UsageError, match=r"texts of Ward 7 to a vendor.*licence not published\n"
    ) as raised:
        check_hosted(SOURCE, model, is_allowed=False)
    assert "()" not in str(raised.value)
    check_hosted(replace(SOURCE, gated=False), model, is_allowed=False)


def test_page_of_the_task_names_no_hub(tmp_path: Path) -> None:
    write_task("mine", tmp_path)
    task = nb.load_task(str(tmp_path / "mine.py"))
    from nova_bench.render import console

    out = console()
    with out.capture() as shown:
        for part in task_page(task):
            out.print(part)
    assert "a folder: --data FOLDER" in shown.get()
    assert "()" not in shown.get()


def test_ages_of_a_csv_file_are_binned_or_refused() -> None:
    from nova_bench.demographics import age_bin

    assert [age_bin(text) for text in ("49", "50", "64.9", "80")] == ["<50", "50-64", "50-64", ">=80"]
    for text in ("old", "", "nan", "-1", "131", "inf"):
        with pytest.raises(nb.DataError, match="expected years"):
            age_bin(text)
