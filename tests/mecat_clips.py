"""A small MECAT test split in the publisher's files: two or three clips for each of the eight domains."""

import json
from pathlib import Path

DOMAINS = ("000", "00A", "0M0", "0MA", "S00", "S0A", "SM0", "SMA")
SUBTASKS = ("long", "short", "speech", "music", "sound", "environment")
CATEGORIES = (
    "direct_perception", "sound_characteristics", "quality_assessment", "environment_reasoning", "inference_judgement",
    "application_context",
)  # fmt: skip
THINGS = ("dog barks", "man speaks", "piano plays", "engine idles", "rain falls", "crowd cheers", "bell rings", "bird sings")
PLACES = ("in a hall", "near a road", "in a small room", "by the sea", "under a bridge")


def write_mecat(raw: Path) -> Path:
    """Writes caption and question files of the test split below `raw`, as the repository lays them out."""
    for role in ("caption", "qa"):
        (raw / "src" / "reference" / role / "test").mkdir(parents=True)
    number = 0
    for domain in DOMAINS:
        clips, questions = {}, {}
        for _ in range(2 + (domain in ("S00", "SMA"))):
            key = f"AbCdEfGhI{number:02d}_{number}_10_{number + 10}_10"
            thing, place = THINGS[number % len(THINGS)], PLACES[number % len(PLACES)]
            texts = [f"a {thing} {place}", f"{place}, the {thing}", f"someone hears how a {thing}"]
            clips[key] = {name: [f"{text} ({name})" for text in texts] for name in SUBTASKS} | {"domain": domain}
            for place_in_list, category in enumerate(CATEGORIES):
                difficulty = ("basic", "intermediate", "advanced", "complex")[(number + place_in_list) % 4]
                questions[f"{key}_{number:04x}{place_in_list:04x}"] = {
                    "category": category, "difficulty": difficulty, "question": f"What about {category}?",
                    "answer": f"the {thing} {place} answers {category.replace('_', ' ')}", "domain": domain,
                }  # fmt: skip
            number += 1
        for role, records in (("caption", clips), ("qa", questions)):
            lines = [json.dumps({key: record}) for key, record in records.items()]
            (raw / "src" / "reference" / role / "test" / f"{domain}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return raw
