"""SPIDEr-max: SPIDEr of the best of several candidates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..text.ngrams import WordIds, count_ngrams, ptb_sentences
from ..workspace import Workspace
from .cider_d import cider_d_per_item, cider_d_values
from .spice import NEEDS, alternative_sentences, spice_of_alternatives, spice_values
from .spider import spider_parameters


class SpiderMax(Metric):
    r"""SPIDEr-max_i = max_k SPIDEr(c_ik), of the K candidates c_i1 … c_iK of item i; the corpus value is the mean over items.

    CIDEr-D's weights come from the references, so they are the same for every k. The components are CIDEr-D and SPICE of
    the candidate that was chosen (the first one of equals), not the largest value of each.

    Every item has the same number of candidates: `captions`, a list, in a line of the predictions. SPICE values come with the
    candidate's number (0 is the first). With one candidate it equals SPIDEr, and a note says so. More candidates can only
    raise it: compare systems that wrote equally many, as the signature does.

    Source: Labbé, Pellegrini, Pinquier 2022 (DCASE workshop); as in aac-metrics.
    """

    name = "spider_max"
    title = "SPIDEr-max"
    value_range = (0.0, 5.5)
    uses = ("spice",)
    requires = NEEDS
    needs_extra = True
    needs_whole_corpus = True
    several_candidates = True
    components = ("cider_d", "spice")
    cases = Cases(identical=(5.49, 5.5), disjoint=(0.0, 0.05), single=None)
    source = "Labbé et al. 2022 (DCASE workshop); aac-metrics"
    definition = "SPIDEr of the best of several candidates per item; needs equally many candidates for every item."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns those of SPIDEr and the number of candidates per item."""
        return {**spider_parameters(work), "candidates": str(pairs.n_candidates)}

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: SPIDEr, CIDEr-D and SPICE of the candidate with the highest SPIDEr."""
        cider_d = np.column_stack((work.shared(cider_d_values), work.shared(cider_d_of_alternatives)))
        spice = np.column_stack((work.shared(spice_values), work.shared(spice_of_alternatives)))
        spider = (cider_d + spice) / 2
        chosen = spider.argmax(axis=1)[:, None]
        return np.hstack([np.take_along_axis(values, chosen, axis=1) for values in (spider, cider_d, spice)])

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Says so where there is nothing to choose from."""
        return {} if pairs.alternatives else {"candidates": "one per item, so this is SPIDEr"}


def cider_d_of_alternatives(work: Workspace) -> Floats:
    """Returns float64[items, alternatives]: CIDEr-D of each set of further candidates, among themselves (shared work)."""
    _, references = work.shared(ptb_sentences)
    columns = []
    for candidates in work.shared(alternative_sentences):
        words = WordIds.of(candidates, references)
        columns.append(cider_d_per_item(words, count_ngrams(words)))
    return np.column_stack(columns) if columns else np.empty((len(references), 0))
