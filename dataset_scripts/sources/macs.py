"""MACS: urban scenes of ten seconds, each described and tagged by two to five people.

Source: Martín-Morató and Mesaros 2021, "What is the ground truth? Reliability of multi-annotator data for audio tagging";
Zenodo record 5114771. `MACS.yaml` lists files with annotations `{annotator_id, sentence, tags}`; `MACS_competence.yaml`, in
truth a table with tabs, gives each annotator an estimated competence. Row id `macs/train/<file name>`. A label is one tag of the
row, its score the number of people who gave it; who gave which is `annotation_tags` in `extra_json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from ..rows import Origin, Row, RowSource, caption, number, origins
from ..source import Record
from ..upstream import csvfile, yamlfile
from ..upstream.files import Part, UpstreamFile
from ..upstream.remote import zenodo

_FIELDS = {"annotator_id", "sentence", "tags"}


class Macs(RowSource):
    """All clips; their sound is the development set of TAU Urban Acoustic Scenes 2019."""

    name = "macs"
    dataset = "macs"
    title = "MACS"
    release = "1.0"
    splits = ("train",)
    files = (
        UpstreamFile("MACS.yaml", "train"),
        UpstreamFile("MACS_competence.yaml", "train", role="competence", is_needed=False),
    )
    repo = "zenodo.org/records/5114771"
    remote = zenodo(5114771, *(file.name for file in files))
    where_to_get = "They are on https://zenodo.org/records/5114771; the competence file is optional."
    own_extra: ClassVar[tuple[str, ...]] = ("annotation_tags", "competence_of")

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the clips in the order of the file; an annotator's competence goes with the first clip that they described."""
        competence = self._competence(part)
        waiting = dict(competence)
        for origin in self._files(part):
            record = origin.record
            given = _annotations(origin)
            who = list(dict.fromkeys(str(one["annotator_id"]) for one in given))
            first_seen = [waiting.pop(name) for name in who if name in waiting]
            counts = Counter(label for one in given for label in dict.fromkeys(one.get("tags") or []))
            name = PurePosixPath(record["filename"]).name
            scene = name.split("-")[0] if name.count("-") >= 3 else None
            yield Row(
                {
                    "id": f"{self.name}/{part.split}/{name}",
                    "source_key": record["filename"],
                    "captions": [
                        caption(
                            one["sentence"],
                            index=index,
                            origin="human",
                            annotator=str(one["annotator_id"]),
                            scores=_scores(competence.get(str(one["annotator_id"]))),
                        )
                        for index, one in enumerate(given)
                    ],
                    "tags": [
                        *({"label": label, "scheme": "macs", "score": float(n)} for label, n in counts.items()),
                        *([{"label": scene, "scheme": "tau_scene"}] if scene else []),
                    ],
                    "audio_ref": {"kind": "file", "file_name": name, "member": record["filename"]},
                    "sampling_rate_hz": 48_000,
                    "n_channels": 2,
                },
                [origin, *first_seen],
                {
                    "annotation_tags": [one.get("tags") for one in given],
                    **({"competence_of": [one.record["annotator_id"] for one in first_seen]} if first_seen else {}),
                },
            )

    @staticmethod
    def _files(part: Part) -> Iterator[Origin]:
        file = part.files["captions"]
        content = yamlfile.load(file)
        found = content.get("files") if isinstance(content, dict) else None
        if not isinstance(found, list):
            raise file.error("expected a list `files`", value=content)
        for position, record in enumerate(found):
            if not isinstance(record, dict) or not isinstance(record.get("filename"), str):
                raise file.error("expected a file with its name", record=position + 1, field="filename", value=record)
            yield Origin(file, position, record)

    @staticmethod
    def _competence(part: Part) -> dict[str, Origin]:
        """Returns the competence per annotator; nothing if the file is not there."""
        if "competence" not in part.files:
            return {}
        file = part.files["competence"]
        tables = csvfile.read(file, ("annotator_id", "competence"), separator="\t")
        found = list(origins(file, tables))
        by_annotator = {one.record["annotator_id"]: one for one in found}
        if len(by_annotator) != len(found):
            raise file.error("expected one line per annotator", field="annotator_id")
        return by_annotator

    def warnings(self, part: Part) -> list[str]:
        """Says how many annotators with a competence described no clip: they are in no row."""
        described = {str(one["annotator_id"]) for origin in self._files(part) for one in _annotations(origin)}
        lost = self._competence(part).keys() - described
        return [f"{part.files['competence'].name}: {len(lost)} annotators described no clip"] if lost else []

    def derived(self, row: Record) -> list[Record]:
        """Returns the entry of the file, and the lines of the annotators who come first here."""
        extra = json.loads(row["extra_json"])
        given = []
        for one, tags in zip(row["captions"], extra["annotation_tags"], strict=True):
            annotator = int(one["annotator"]) if one["annotator"].isdigit() else one["annotator"]
            given.append({"annotator_id": annotator, "sentence": one["text"], **({} if tags is None else {"tags": tags})})
        competent = [{"annotator_id": name} for name in extra.get("competence_of", [])]
        return [{"filename": row["source_key"], "annotations": given}, *competent]


def _annotations(origin: Origin) -> list[dict[str, Any]]:
    found = origin.record.get("annotations")
    for one in found if isinstance(found, list) else [None]:
        tags = one.get("tags") if isinstance(one, dict) else None
        is_whole = isinstance(one, dict) and one.keys() >= _FIELDS - {"tags"} and isinstance(one["sentence"], str)
        if not is_whole or not (tags is None or (isinstance(tags, list) and all(isinstance(label, str) for label in tags))):
            raise origin.file.error(
                "expected annotations with annotator_id, sentence and a list of tags",
                record=origin.position + 1,
                field="annotations",
                value=one if one is not None else found,
            )
    return found or []


def _scores(competence: Origin | None) -> list[Record]:
    value = number(competence, "competence") if competence else None
    return [] if value is None else [{"name": "competence", "value": value, "producer": "macs"}]
