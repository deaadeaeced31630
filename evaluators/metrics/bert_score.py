"""BERTScore: how well the words of candidate and reference match one by one, by their vectors in context."""

from __future__ import annotations

from collections.abc import Mapping

from ..metric import Cases, Floats, Metric
from ..models.bert import greedy_matches, item_tokens, loaded_bert
from ..pairs import CaptionPairs
from ..workspace import Workspace


class BertScore(Metric):
    r"""F1 = 2 · P · R / (P + R), P = 1/|c| · Σ_{x in c} max_{y in r} cos(x, y), R = 1/|r| · Σ_{y in r} max_{x in c} cos(x, y).

    x and y are the tokens of candidate c and reference r, as the last layer of a text encoder sees them in their sentence; the
    special tokens around a text are no part of it. A cosine below 0 counts as 0. Of several references the highest F1 counts,
    and for the components precision and recall the highest P and R: the three may come from different references. The corpus
    values are means over the items. A text without tokens is worth 0. No weights by rarity (idf), no rescaling by a baseline.

    The text is read as it is and cut where the model's positions end (510 tokens and two special ones for roberta-large).

    Source: Zhang et al. 2020 (ICLR, arXiv:1904.09675), section 3; layer, floor of 0 and maxima as in aac-metrics, where captions
    are scored with it. Deliberate differences: the authors' program takes layer 17 of the 24 of roberta-large and its values
    are not comparable. aac-metrics refuses texts of more than 64 tokens; and torchmetrics, on which it stands, puts sorted
    texts back in a wrong order, so that most captions are compared with the references of others: its values are not these.
    """

    name = "bert_score"
    title = "BERTScore"
    uses = ("bert", "device", "batch_tokens")
    requires = ("text encoder of transformers (roberta-large, 1.4 GB, unless another one is named)",)
    needs_extra = True
    components = ("precision", "recall")
    cases = Cases(identical=(1 - 1e-5, 1.0), disjoint=(0.0, 0.99), single=(1 - 1e-5, 1.0))
    source = "Zhang et al. 2020 (ICLR), arXiv:1904.09675, section 3"
    definition = (
        "F-measure of tokens of candidate and reference that are matched greedily by the cosine of their vectors in context; the "
        "best reference counts."
    )

    def parameters(self, pairs: CaptionPairs, work: Workspace) -> Mapping[str, str]:
        """Returns the model, its layer and length limit, and what is left out."""
        bert = work.shared(loaded_bert)
        return {
            "model": bert.identity,
            "layer": "last",
            "dtype": "fp32",
            "text": "raw",
            "max_tokens": str(bert.max_tokens),
            "idf": "no",
            "rescaled": "no",
            "floor": "0",
            "of_refs": "max_of_each",
        }

    def item_stats(self, pairs: CaptionPairs, work: Workspace) -> Floats:
        """Returns float64[n, 3]: F1, precision and recall of the items."""
        return greedy_matches(work.shared(loaded_bert), work.shared(item_tokens), work.options.batch_tokens)

    def notes(self, stats: Floats, pairs: CaptionPairs, work: Workspace) -> Mapping[str, int | str]:
        """Returns how many texts were longer than the model reads."""
        return {"truncated_texts": work.shared(item_tokens).texts.n_truncated}
