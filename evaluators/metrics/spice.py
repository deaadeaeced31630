"""SPICE: which objects, attributes and relations of the references a candidate names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...dataset_scripts.errors import InputError, Problem, shorten
from ..files import SpiceRow, read_spice, short_sha256
from ..metric import Cases, Floats, Metric
from ..models.spice_java import CORENLP, spice_by_java, spice_jar
from ..pairs import CaptionPairs
from ..text.ngrams import ptb_sentences
from ..text.tokens import TOKENIZER, tokenize
from ..workspace import Workspace

NEEDS = ("a file of SPICE values, or a Java from 8 to 14 with CoreNLP 3.6.0",)


class Spice(Metric):
    r"""SPICE_i = 2 · P · R / (P + R), P = |T(c) ∩ T(R)| / |T(c)|, R = |T(c) ∩ T(R)| / |T(R)|; 0 where nothing is shared.

    T(x) is the set of tuples (object), (object, attribute), (object, relation, object) of the scene graph that a dependency
    parser reads out of a text; R is all references of the item together. Tuples match by lemma and by WordNet synonym. The
    corpus value is the mean over items.

    The values are read from a file (`Options.spice`): csv or jsonl with id and spice, a value for every id and none for any
    other. Without a file the authors' program computes them, on PTB words as in the COCO caption evaluation, from the user's
    own Java and CoreNLP. Only the F-score is kept: files hold nothing else.

    Source: Anderson, Fernando, Johnson, Gould 2016 (ECCV), arXiv:1607.08822, section 3; the program as in pycocoevalcap 1.2.
    Deliberate difference: the program's cache of parses is left off; it changes no value.
    """

    name = "spice"
    title = "SPICE"
    uses = ("spice",)
    requires = NEEDS
    needs_extra = True
    cases = Cases(identical=(0.99, 1.0), disjoint=(0.0, 0.1), single=(0.99, 1.0))
    source = "Anderson et al. 2016 (ECCV), arXiv:1607.08822; COCO caption evaluation"
    definition = (
        "F-score of the objects, attributes and relations that a parser finds in the candidate, against those of all references."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns where the values come from: the file's hash, or the program's and what it parses with."""
        return spice_parameters(work)

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 1]: the items' values."""
        return work.shared(spice_values)[:, None]


def spice_parameters(work: Workspace) -> dict[str, str]:
    """Returns what a signature says about the SPICE values."""
    if work.options.spice is not None:
        return {"spice": f"file@sha256:{short_sha256(Path(work.options.spice))}"}
    return {"spice": f"java@sha256:{short_sha256(spice_jar())}", "corenlp": CORENLP, "tok": TOKENIZER}


def spice_values(work: Workspace) -> Floats:
    """Returns float64[items] of the candidates (shared work).

    Raises:
        InputError: the file of values is unreadable, or does not cover exactly these items.
        MissingRequirementError: there is no file, and the program cannot run here.
    """
    if work.options.spice is not None:
        return _from_file(work, 0, 1)[:, 0]
    return spice_by_java(*work.shared(ptb_sentences))


def spice_of_alternatives(work: Workspace) -> Floats:
    """Returns float64[items, alternatives] of the further candidates (shared work); raises as `spice_values` does."""
    pairs = work.pairs
    if work.options.spice is not None:
        return _from_file(work, 1, pairs.n_candidates)
    if not pairs.alternatives:
        return np.empty((len(pairs), 0))
    further, references = work.shared(alternative_sentences), work.shared(ptb_sentences)[1]
    flat = [text for texts in further for text in texts]  # one run of the program: it takes a minute to start
    return spice_by_java(flat, references * len(further)).reshape(len(further), len(pairs)).T


def alternative_sentences(work: Workspace) -> list[list[str]]:
    """Returns the further candidates after PTB tokenisation, one list of `n` texts per alternative (shared work)."""
    return [tokenize(texts) for texts in zip(*work.pairs.alternatives, strict=True)]


def _spice_rows(work: Workspace) -> list[SpiceRow]:
    """Returns the rows of the file, all of which belong to a candidate (shared work)."""
    path, pairs = Path(str(work.options.spice)), work.pairs
    rows, known = read_spice(path), set(pairs.ids)
    problems = []
    for row in rows:
        if row.id not in known:
            message, hint = f"no item has the id {shorten(row.id)}", "ids are those of the references"
            problems.append(Problem("E_UNKNOWN_ID", message, row.line, row.id, hint, "id"))
        elif row.candidate >= pairs.n_candidates:
            message = f"candidate is {row.candidate}; the item has {pairs.n_candidates}, counted from 0"
            problems.append(Problem("E_VALUE", message, row.line, row.id, column="candidate"))
    if problems:
        raise InputError(f"{path} holds SPICE values of captions that are not scored here: {len(problems):,} lines.", problems)
    return rows


def _from_file(work: Workspace, first: int, end: int) -> Floats:
    """Returns float64[items, end - first]: the values of the candidates with these numbers."""
    place = {id_: index for index, id_ in enumerate(work.pairs.ids)}
    values = np.full((len(place), end - first), np.nan)
    for row in work.shared(_spice_rows):
        if first <= row.candidate < end:
            values[place[row.id], row.candidate - first] = row.spice
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        problems = []
        for item, column in missing:
            id_, number = work.pairs.ids[item], column + first
            problems.append(Problem("E_MISSING_ID", f"id {shorten(id_)} has no value for candidate {number}", id=id_))
        headline = (
            f"{work.options.spice}: {len(problems):,} of {values.size:,} SPICE values are missing; expected one per caption."
        )
        raise InputError(headline, problems)
    return values
