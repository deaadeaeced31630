"""SPIDEr: the mean of CIDEr-D and SPICE."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..metric import Cases, Floats, Metric
from ..pairs import CaptionPairs
from ..workspace import Workspace
from .cider_d import CiderD, cider_d_values
from .spice import NEEDS, spice_parameters, spice_values


class Spider(Metric):
    r"""SPIDEr_i = (CIDEr-D_i + SPICE_i) / 2; the corpus value is the mean over items.

    Both halves are those of the metrics `cider_d` (which depends on the whole set) and `spice` (from a file, or by its
    program). CIDEr-D goes up to 10 and SPICE to 1, so the first half decides most of it.

    Source: Liu et al. 2017 (ICCV), arXiv:1612.00370; unweighted as in DCASE's audio captioning.
    """

    name = "spider"
    title = "SPIDEr"
    value_range = (0.0, 5.5)
    uses = ("spice",)
    requires = NEEDS
    needs_extra = True
    needs_whole_corpus = True
    components = ("cider_d", "spice")
    cases = Cases(identical=(5.49, 5.5), disjoint=(0.0, 0.05), single=None)
    source = "Liu et al. 2017 (ICCV), arXiv:1612.00370; aac-metrics"
    definition = "Mean of CIDEr-D and SPICE: rare word sequences, and objects with attributes and relations."

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns those of CIDEr-D and of SPICE."""
        return spider_parameters(work)

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: SPIDEr, CIDEr-D, SPICE."""
        return np.column_stack((work.shared(spider_values), work.shared(cider_d_values), work.shared(spice_values)))


def spider_values(work: Workspace) -> Floats:
    """Returns float64[items] of the candidates (shared work); raises as CIDEr-D and SPICE do."""
    return (work.shared(cider_d_values) + work.shared(spice_values)) / 2


def spider_parameters(work: Workspace) -> dict[str, str]:
    """Returns what a signature says about SPIDEr: all about CIDEr-D and all about SPICE."""
    return {**CiderD().parameters(work.pairs, work), **spice_parameters(work)}
