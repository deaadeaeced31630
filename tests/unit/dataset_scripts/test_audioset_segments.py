"""Times and tags by video id: found where AudioSet has the video, null elsewhere."""

from pathlib import Path

import pyarrow as pa
import pytest
from unified_audiocaps.dataset_scripts.audioset_segments import Segments
from unified_audiocaps.dataset_scripts.errors import RecordError
from unified_audiocaps.dataset_scripts.upstream.files import Part, RawFile
from unified_audiocaps.dataset_scripts.upstream.segments import segments

HEADER = "# made\n# 2 segments\n# YTID, start_seconds, end_seconds, positive_labels\n"


def raw(folder: Path, name: str, content: str) -> RawFile:
    (folder / name).write_text(content, encoding="utf-8")
    return RawFile("audioset", folder / name, name)


def test_videos_find_their_segment(tmp_path: Path) -> None:
    files = {
        "segments_eval": raw(tmp_path, "e.csv", HEADER + 'zzzzzzzzzz9, 5.000, 15.000, "/m/a,/m/b"\nbad, 1.0, 2.0, "/m/a"\n'),
        "segments_balanced_train": raw(tmp_path, "b.csv", HEADER + 'YYYYYYYYYY1, 30.000, 40.000, "/m/b"\n'),
        "labels": raw(tmp_path, "l.csv", 'index,mid,display_name\n0,/m/b,"Bee, wasp"\n'),
    }
    asked = pa.array(["missing", "YYYYYYYYYY1", None, "aaaaaaaaaaa", "zzzzzzzzzz9"]).slice(1)
    start_s, end_s, tags = Segments(Part("train", None, files)).of(asked)
    assert (start_s.to_pylist(), end_s.to_pylist()) == ([30.0, None, None, 5.0], [40.0, None, None, 15.0])
    assert [[(tag["code"], tag["label"]) for tag in row] for row in tags.to_pylist()] == [
        [("/m/b", "Bee, wasp")], [], [], [("/m/a", None), ("/m/b", "Bee, wasp")],
    ]  # fmt: skip


def test_without_files_nothing_is_known() -> None:
    start_s, end_s, tags = Segments(Part("train", None, {})).of(pa.array(["aaaaaaaaaaa", None]))
    assert (start_s.null_count, end_s.null_count, tags.to_pylist()) == (2, 2, [[], []])


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    file = raw(tmp_path, "e.csv", HEADER + 'zzzzzzzzzz9, 5.000, 15.000, "/m/a"\nzzzzzzzzzz8, 5.000\n')
    with pytest.raises(RecordError, match=r"e\.csv, line 5: found 'zzzzzzzzzz8, 5\.000'; expected `<video id>"):
        list(segments(file))
