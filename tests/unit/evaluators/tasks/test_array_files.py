"""Matrices and columns from files: every format gives the same, what cannot be read is told."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.tasks.array_files import read_array, read_column, read_columns


def test_matrices_stay_on_disk(tmp_path):
    matrix = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "m.npy", matrix)
    np.savez(tmp_path / "m.npz", matrix)
    found = read_array(tmp_path / "m.npy")
    assert isinstance(found.base, np.memmap)
    assert found.tolist() == read_array(tmp_path / "m.npz").tolist() == matrix.tolist()


@pytest.mark.parametrize("ending", ["npy", "npz", "txt", "csv", "parquet"])
def test_columns_of_all_formats(ending, tmp_path):
    values = ["dog", "ü, cat"]
    file = tmp_path / f"c.{ending}"
    if ending == "npy":
        np.save(file, np.array(values))
    elif ending == "npz":
        np.savez(file, np.array(values))
    elif ending == "txt":
        file.write_text("\ufeffdog\r\nü, cat\r\n", encoding="utf-8", newline="")
    elif ending == "csv":
        file.write_text('more,label\n1,dog\n\n2,"ü, cat"\n', encoding="utf-8")
    else:
        pa.parquet.write_table(pa.table({"more": [1, 2], "label": values}), file)
    assert read_column(file, "label") == values


def test_the_only_column_may_have_any_name(tmp_path):
    (tmp_path / "c.csv").write_text("whatever\n7\n")
    pa.parquet.write_table(pa.table({"whatever": [7]}), tmp_path / "c.parquet")
    for ending in ("csv", "parquet"):
        assert read_column(tmp_path / f"c.{ending}", "clip") == ["7"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "no column 'id'; found x, y, expected id, label"),
        ("a.csv", "", "no column 'id'; found nothing"),
        ("a.csv", "id,label\n", "has no row"),
        ("a.csv", "id,label\na,\nb, \n", r"2 empty cells.*\n.*line 2: E_EMPTY: label is empty"),
        ("a.csv", "id,label\na\n", r"line 2: 1 cells; expected 2"),
        ("a.csv", 'id,label\n"a,b\n', "cannot be read"),
        ("a.jsonl", "{}", "expected .csv or .parquet"),
        ("a.parquet", "no parquet", "cannot be read"),
    ],
)
def test_tables_that_cannot_be_read(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_columns(tmp_path / name, ["id", "label"])


def test_arrays_that_cannot_be_read(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=[1], b=[2])
    (tmp_path / "text.npy").write_text("no array")
    for name, message in {
        "objects.npy": "cannot be read",
        "two.npz": "holds 2 arrays",
        "text.npy": "cannot be read",
        "none.npy": "cannot be read",
        "m.pt": "expected .npy or .npz",
    }.items():
        with pytest.raises(InputError, match=message):
            read_array(tmp_path / name)
    np.save(tmp_path / "m.npy", np.eye(2))
    with pytest.raises(InputError, match="expected one dimension"):
        read_column(tmp_path / "m.npy", "label")
