"""What is said about edits: AuditEval's captions are rebuilt, and what two captions share is as written here by hand."""

import json
import re
from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.sound.edits import commonality, instruction, mixture_caption

# the labels of AuditEval's sixteen published requests
DOG, CLOCK = "yapping dog barking", "ticking clock"
TRAIN = "Idling car, train blows horn and passes"
KEYS = "Keys jingle as a car attempts to start"
ENGINE = "Sound of an engine running while idle and random sounds of small solid objects moving in the background"
VOICE = "Male voice with boots tapping on the floor"
WATER = "Water flows as a child shouts in the background"
# operation, caption before, caption after, what they have in common
CASES = {
    # of AuditEval's requests, additions as published
    "train_add": ("add", f"{TRAIN}.", f"{TRAIN}, while {DOG} sound.", f"{TRAIN}."),
    "racing_add": ("add", "A racing vehicle engine is heard passing by.",
                   "A racing vehicle engine is heard passing by, with ticking clock sound.",
                   "A racing vehicle engine is heard passing by."),
    "voice_add": ("add", f"{VOICE}.", f"yapping dog barking sound, then {VOICE}.", f"{VOICE}."),
    # the same captions, taken backwards
    "train_delete": ("delete", f"{TRAIN}, while {CLOCK} sound.", f"{TRAIN}.", f"{TRAIN}."),
    "keys_delete": ("delete", f"{KEYS}, with {DOG} sound.", f"{KEYS}.", f"{KEYS}."),
    "voice_delete": ("delete", f"{CLOCK} sound, then {VOICE}.", f"{VOICE}.", f"{VOICE}."),
    # the two requests of each clip against each other
    "train": ("replace", f"{TRAIN}, while {DOG} sound.", f"{TRAIN}, while {CLOCK} sound.", TRAIN),
    "racing": ("replace", "A racing vehicle engine is heard passing by, with yapping dog barking sound.",
               "A racing vehicle engine is heard passing by, with ticking clock sound.",
               "A racing vehicle engine is heard passing by"),
    "waterfall": ("replace", "A waterfall is pouring into a stream, and yapping dog barking sound.",
                  "A waterfall is pouring into a stream, and ticking clock sound.", "A waterfall is pouring into a stream"),
    "man": ("replace", "A man speaks earnestly, and ticking clock sound.",
            "A man speaks earnestly, and yapping dog barking sound.", "A man speaks earnestly"),
    "water": ("replace", f"{WATER}, and {DOG} sound.", f"{WATER}, and {CLOCK} sound.", WATER),
    "voice": ("replace", f"{DOG} sound, then {VOICE}.", f"{CLOCK} sound, then {VOICE}.", VOICE),
    "engine": ("replace", f"{ENGINE}, with {DOG} sound.", f"{ENGINE}, with {CLOCK} sound.", ENGINE),
    "keys": ("replace", f"{KEYS}, with {CLOCK} sound.", f"{KEYS}, with {DOG} sound.", KEYS),
    # of our own
    "one_word": ("replace", "Rain, while bird song sound.", "Rain, while car horn sound.", "Rain"),
    "labels_begin_alike": ("replace", "Rain falls, and dog barking sound.", "Rain falls, and dog howling sound.",
                           "Rain falls, and dog"),
    "labels_end_alike": ("replace", "Wind, with yapping dog barking sound.", "Wind, with angry dog barking sound.",
        "dog barking"),
    "punctuation_differs": ("replace", "A bell, far away; rings, with a cat sound.", "A bell far away rings - with dog sound.",
                            "A bell, far away; rings"),
    "case_differs": ("replace", "A DOG barks, and rain sound.", "a dog Barks, and wind sound.", "A DOG barks"),
    "apostrophe": ("replace", "A dog's bark, while horn sound.", "A dogs bark, while bell sound.", "A dog's bark"),
    "hyphen": ("replace", "A high-pitched tone, with rain sound.", "A high-pitched tone, with wind sound.",
        "A high-pitched tone"),
    "first_of_equals": ("replace", "a cat sits, a dog runs", "a dog runs; a cat sits", "a cat sits"),
    "sound_of_the_base": ("replace", "A loud sound, while rain sound.", "A loud sound, while wind sound.", "A loud sound"),
    "sound_ends_the_base": ("replace", "rain sound, then A loud sound.", "wind sound, then A loud sound.", "A loud sound"),
    "base_begins_with_sound": ("replace", "Sound of rain, and a horn sound.", "Sound of rain, and bell sound.", "Sound of rain"),
    "base_begins_with_a_connective": ("replace", "While it rains, a dog barks, with bell sound.",
                                      "While it rains, a dog barks, with horn sound.", "it rains, a dog barks"),
    "repeated_words": ("replace", "a dog a dog a dog, and bell sound.", "a dog a dog a dog, and horn sound.",
        "a dog a dog a dog"),
    "letters_beyond_ascii": ("replace", "Ein Fön dröhnt, while bell sound.", "Ein Fön dröhnt, while horn sound.",
        "Ein Fön dröhnt"),
    "only_template_words": ("replace", "Rain, and bell sound.", "Wind, and horn sound.", ""),
    "nothing_shared": ("replace", "Rain.", "Wind.", ""),
    "the_event_holds_a_comma": ("replace", "Birds sing, while crash, loud sound.", "Birds sing, while thud, loud sound.",
                                "Birds sing"),
    "numbers": ("replace", "3 dogs bark, with bell sound.", "3 dogs bark, with horn sound.", "3 dogs bark"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_two_captions_have_in_common(name: str) -> None:
    operation, before, after, expected = CASES[name]
    assert commonality(operation, before, after) == expected


def test_captions_of_auditeval_are_rebuilt(real_dir: Path) -> None:
    lines = (real_dir / "auditeval" / "infer_batch.jsonl").read_text(encoding="utf-8").splitlines()
    mixtures: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        row = json.loads(line)
        before, after = re.search(r"Original Caption:\n(.*)\n\nTarget Caption:\n(.*)\n", row["messages"][0]["content"]).groups()
        name = row["audios"][0]
        label = DOG if "_2_ab_" in name else CLOCK
        template = next(one for one in ("then", "while", "with", "and") if after == mixture_caption(before, label, one))
        mixtures.setdefault(before, []).append((template, after))
        assert commonality("add", before, after) == commonality("delete", after, before) == before
    assert len(lines) == 16 and len(mixtures) == 8
    for before, ((template, ab), (other, ac)) in mixtures.items():
        assert template == other
        assert commonality("replace", ab, ac) == commonality("replace", ac, ab) == before.removesuffix(".")


def test_instructions_name_what_goes_and_what_comes() -> None:
    assert instruction("add", "a burst of bird song ") == "add a burst of bird song"
    assert instruction("delete", DOG) == "remove yapping dog barking"
    assert instruction("replace", DOG, CLOCK) == "replace yapping dog barking with ticking clock"
