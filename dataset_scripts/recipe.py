"""Recipes of mixtures: what a YAML file says, and the recipes that ship."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import InputError, Problem, UnknownNameError
from .marking import Exclusion
from .source import SOURCES

DEDUPLICATE = ("clip", "recording", "none")
_KEYS = {"name", "title", "about", "seed", "deduplicate", "decontaminate", "sets"}
_SET_KEYS = {"set", "subsets", "captioned", "rows", "questions", "questions_per_row"}


@dataclass(frozen=True)
class Ingredient:
    """One set of a recipe.

    Attributes:
        set: `config` or `config/split`.
        subsets: only these subsets; empty for all.
        rows: how many rows are drawn, None for all.
        questions: how many questions are drawn (their rows come along, other questions do not), None for all.
        captioned: only rows that have a caption.
        questions_per_row: at most so many questions of a row are drawn from, None for all.
    """

    set: str
    subsets: tuple[str, ...] = ()
    rows: int | None = None
    questions: int | None = None
    captioned: bool = False
    questions_per_row: int | None = None

    @property
    def draws_questions(self) -> bool:
        """Whether only some of the questions are taken."""
        return self.questions is not None or self.questions_per_row is not None

    def defining(self) -> dict[str, Any]:
        """Returns what determines the rows, JSON-ready; keys that came later only where they are used, so that digests last."""
        found = {"set": self.set, "subsets": list(self.subsets), "rows": self.rows, "questions": self.questions}
        later = {"captioned": self.captioned, "questions_per_row": self.questions_per_row}
        return found | {key: value for key, value in later.items() if value}


@dataclass(frozen=True)
class Recipe:
    """What a mixture is made of.

    Attributes:
        name: its config name.
        sets: what is taken, in this order.
        title: a name for people.
        about: where it is defined.
        seed: rows and questions are drawn with it.
        deduplicate: `clip`, `recording` or `none`.
        decontaminate: sets whose sounds are left out.
    """

    name: str
    sets: tuple[Ingredient, ...]
    title: str = ""
    about: str = ""
    seed: int = 0
    deduplicate: str = "clip"
    decontaminate: tuple[Exclusion, ...] = ()

    def defining(self) -> dict[str, Any]:
        """Returns what determines the rows, JSON-ready."""
        return {
            "name": self.name,
            "seed": self.seed,
            "deduplicate": self.deduplicate,
            "decontaminate": [f"{one.name}:{one.level}" for one in self.decontaminate],
            "sets": [one.defining() for one in self.sets],
        }


def shipped_recipes() -> list[str]:
    """Returns the sorted names of the recipes that come with the project."""
    folder = resources.files(__package__).joinpath("recipes")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def read_recipe(name: str) -> str:
    """Returns the YAML of a recipe file, or of a recipe that comes with the project by its name.

    Raises:
        UnknownNameError: no such file or recipe.
        InputError: it cannot be read.
    """
    path = Path(name)
    if name in shipped_recipes():
        return resources.files(__package__).joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    if not path.is_file():
        raise UnknownNameError("recipe file or recipe", name, shipped_recipes(), "uac mix")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} cannot be read ({problem}); expected a recipe in YAML, UTF-8.") from problem


def load_recipe(name: str) -> Recipe:
    """Returns a recipe from a YAML file, or one that comes with the project by its name.

    Raises:
        UnknownNameError: no such file or recipe.
        InputError: it cannot be read, or is wrong; all problems are listed.
    """
    import yaml

    content = read_recipe(name)
    try:
        return parse_recipe(yaml.safe_load(content), name)
    except yaml.YAMLError as problem:
        raise InputError(f"{name} is no YAML: {problem}; expected the keys name and sets, see a shipped recipe.") from None


def parse_recipe(values: Any, file: str) -> Recipe:
    """Returns the recipe that parsed YAML describes.

    Args:
        values: what the file holds.
        file: what errors call it.

    Raises:
        InputError: it is wrong; all problems are listed.
    """
    if not isinstance(values, dict):
        raise InputError(f"{file} holds {type(values).__name__}; expected a mapping with the keys name and sets.")
    problems: list[Problem] = []

    def wrong(message: str, column: str) -> None:
        problems.append(Problem("E_RECIPE", message, column=column))

    for key in sorted(set(map(str, values)) - _KEYS):
        wrong(f"unknown key {key!r}; expected some of {', '.join(sorted(_KEYS))}", key)
    name = values.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        wrong(f"name is {name!r}; expected lower-case letters, digits and _", "name")
    elif name in SOURCES.names():
        wrong(f"name is {name!r}, which is a dataset; choose another one", "name")
    if values.get("deduplicate", "clip") not in DEDUPLICATE:
        wrong(f"deduplicate is {values['deduplicate']!r}; expected {', '.join(DEDUPLICATE)}", "deduplicate")
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        wrong(f"seed is {seed!r}; expected a whole number from 0 up", "seed")
    listed = values.get("sets")
    if not isinstance(listed, list) or not listed:
        wrong(f"sets is {listed!r}; expected a list of sets", "sets")
    sets = [_ingredient(one, wrong) for one in (listed if isinstance(listed, list) else [])]
    avoided = values.get("decontaminate") or []
    exclusions = []
    for one in avoided if isinstance(avoided, list) else [avoided]:
        try:
            exclusions.append(Exclusion.parse(str(one)))
        except InputError as problem:
            wrong(str(problem), "decontaminate")
    if problems:
        raise InputError(f"{file}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'} in this recipe.", problems)
    texts = {key: str(values.get(key) or "").strip() for key in ("title", "about")}
    return Recipe(
        str(name), tuple(sets), **texts, seed=seed, deduplicate=values.get("deduplicate", "clip"), decontaminate=tuple(exclusions)
    )


def _ingredient(value: Any, wrong: Any) -> Ingredient:
    found = {"set": value} if isinstance(value, str) else value
    if not isinstance(found, dict) or not isinstance(found.get("set"), str):
        wrong(f"a set is {value!r}; expected a name, or a mapping with the key set", "sets")
        return Ingredient("")
    for key in sorted(set(map(str, found)) - _SET_KEYS):
        wrong(f"unknown key {key!r} of set {found['set']}; expected some of {', '.join(sorted(_SET_KEYS))}", "sets")
    for key in ("rows", "questions", "questions_per_row"):
        number = found.get(key)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            wrong(f"{key} of set {found['set']} is {number!r}; expected a whole number from 1 up", "sets")
    if not isinstance(found.get("captioned", False), bool):
        wrong(f"captioned of set {found['set']} is {found['captioned']!r}; expected true or false", "sets")
    subsets = found.get("subsets") or []
    if not isinstance(subsets, list):
        wrong(f"subsets of set {found['set']} is {subsets!r}; expected a list of names", "sets")
        subsets = []
    return Ingredient(
        found["set"],
        tuple(map(str, subsets)),
        rows=found.get("rows"),
        questions=found.get("questions"),
        captioned=bool(found.get("captioned", False)),
        questions_per_row=found.get("questions_per_row"),
    )
