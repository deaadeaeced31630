"""Scores captions with the package mecat 1.1.0, its DATE and its FENSE.

    python tests/parity/mecat_peer.py ITEMS.jsonl VALUES.json --sbert FOLDER --checker CHECKPOINT

A line of ITEMS holds `candidate` and `references`, equally many everywhere. VALUES holds `items`: `date`, `date_similarity`,
`date_discrimination` and `fense`, one value per line before the package rounds; and `printed`, what it prints. The model that the
checkpoint names is looked for from the working directory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import mecat.DATE as package
import pandas as pd
import torch

COLUMNS = ["sample_id", "field_type", "delta", "similarity", "discrimination", "date"]
CHECKER = "echecker_clotho_audiocaps_base"
torch.set_num_threads(os.cpu_count() or 1)  # the package wants one, which changes no value


def values(items: list[dict], kind: str, sbert: str) -> tuple[dict, pd.DataFrame]:
    """Returns what the package prints, and its table per item."""
    keys = [f"{index:06}" for index in range(len(items))]  # the package sorts them as text
    model = package.DATE(sbert_name_or_path=sbert, device="cpu", return_type=kind)
    return model(
        ref_data={key: {"long": list(item["references"])} for key, item in zip(keys, items, strict=True)},
        val_data={key: {"long": item["candidate"]} for key, item in zip(keys, items, strict=True)},
        group_name="content_long",
        dataframe=pd.DataFrame(columns=COLUMNS),
    )


def main() -> None:
    """Reads the items, runs both metrics, writes the values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path)
    parser.add_argument("values", type=Path)
    parser.add_argument("--sbert", required=True, help="folder of the sentence encoder")
    parser.add_argument("--checker", required=True, help="checkpoint of the error checker")
    options = parser.parse_args()
    items = [json.loads(line) for line in options.items.read_text(encoding="utf-8").split("\n")[:-1]]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FENSE_DATA"] = folder
        (Path(folder) / f"{CHECKER}.ckpt").symlink_to(Path(options.checker).resolve())
        date_printed, date = values(items, "date", options.sbert)
        fense_printed, fense = values(items, "fense", options.sbert)
    found = {
        "date": date["date"],
        "date_similarity": date["similarity"],
        "date_discrimination": date["discrimination"],
        "fense": fense["similarity"],
    }
    printed = {name: date_printed[name] for name in ("date", "similarity", "discrimination")}
    printed["fense"] = fense_printed["similarity"]
    content = {"items": {name: [float(one) for one in column] for name, column in found.items()}, "printed": printed}
    options.values.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
