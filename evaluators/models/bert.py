"""Text encoders of transformers that say something about every token: found by name, loaded on use, fed whole items at a time.

A model is a folder that `save_pretrained` wrote, or a repository on the Hub (`owner/name`, or one of the old names without an
owner, such as `roberta-large`). Text reaches its tokenizer as it is; weights are float32. Vectors are those of the last layer.
Vectors of all tokens of a set fill no memory: they live as long as the batch of items that they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_scripts.errors import InputError, shorten
from ..metric import Floats
from ..text.ngrams import Ints
from ..workspace import Workspace
from .batches import BATCH_TOKENS, TokenizedTexts, in_batches, tokenized
from .encoders import LOADED_AT_ONCE, hub_snapshot, local_or_hub, names_a_path, quiet_loading, resolve_device
from .model_checks import check_numbers, check_tokenizer, check_weights

KIND = "text encoder"
INSTEAD = ", or name a local copy's folder"
MARKS = 2  # special tokens around a text: one before it, one behind it
FORWARDS = 8  # per batch of items: the more of them, the more alike are the lengths in each, and the less is padded
MAX_TOKENS = 512  # of models that state no limit


class Bert:
    """A loaded text encoder.

    Args:
        model: a model of transformers whose output has `last_hidden_state`.
        tokenizer: its tokenizer.
        identity: what signatures print: repository with commit, or a hash of the folder's content.
        device: torch device that the model is on.

    Raises:
        InputError: the tokenizer does not put one token before a text and one behind it.
    """

    def __init__(self, model: Any, tokenizer: Any, identity: str, device: str) -> None:
        self.model, self.tokenizer, self.identity, self.device = model, tokenizer, identity, device
        self.max_tokens = _max_tokens(model, tokenizer)
        if (n_marks := len(tokenizer("")["input_ids"])) != MARKS:
            raise InputError(
                f"the {KIND} {identity} puts {n_marks} special tokens around a text; expected one before it and one behind it, "
                "as BERT and RoBERTa do."
            )

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Returns the token ids of `texts`, cut at the model's length limit."""
        return tokenized(self.tokenizer, texts, self.max_tokens, self.identity)

    def inner_vectors(self, texts: TokenizedTexts, sequences: Ints, batch_tokens: int) -> tuple[Any, Ints]:
        """Returns the vectors of all tokens of some sequences but the special ones around them.

        Args:
            texts: where the sequences are.
            sequences: int64[s], which ones; each once.
            batch_tokens: bound of tokens per forward, padding included.

        Returns:
            float32 tensor [tokens + 1, d] on the device, unit length, sequences one after the other in the order of `sequences`,
            the last row zero; and int64[s], where each begins.
        """
        import torch

        inner = texts.lengths[sequences] - MARKS
        starts = np.cumsum(inner) - inner
        vectors: Any = None
        order = np.argsort(-inner, kind="stable")
        begin = 0
        while begin < len(order):
            size = max(1, batch_tokens // int(texts.lengths[sequences[order[begin]]]))
            some = order[begin : begin + size]
            begin += len(some)
            ids, inside, _ = texts.padded(sequences[some], self.tokenizer.pad_token_id or 0)
            is_inner = inside.copy()
            is_inner[:, 0] = False
            is_inner[np.arange(len(some)), texts.lengths[sequences[some]] - 1] = False
            with torch.inference_mode():
                output = self.model(
                    input_ids=torch.from_numpy(ids).to(self.device),
                    attention_mask=torch.from_numpy(inside.astype(np.int64)).to(self.device),
                ).last_hidden_state.float()
                if vectors is None:
                    vectors = torch.zeros((int(inner.sum()) + 1, output.shape[-1]), device=self.device)
                places = np.concatenate([np.arange(starts[one], starts[one] + inner[one]) for one in some])
                found = torch.nn.functional.normalize(output[torch.from_numpy(is_inner).to(self.device)], dim=-1)
                vectors[torch.from_numpy(places).to(self.device)] = found
        return vectors, starts


def _max_tokens(model: Any, tokenizer: Any) -> int:
    limits = [MAX_TOKENS] if int(tokenizer.model_max_length) > 1 << 20 else [int(tokenizer.model_max_length)]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
        before = getattr(table, "padding_idx", None)  # in RoBERTa positions begin behind the padding's
        limits.append(int(positions) - (0 if before is None else before + 1))
    return min(limits)


@dataclass(frozen=True)
class ItemTokens:
    """All texts of the items as token ids: of every item its candidate, then its references.

    Attributes:
        texts: the token ids.
        first: int64[items], which text is an item's candidate.
        counts: int64[items], references of each item.
    """

    texts: TokenizedTexts
    first: Ints
    counts: Ints

    @property
    def costs(self) -> Ints:
        """int64[items]: tokens of an item when its texts are as long as the longest of them."""
        longest: Ints = np.maximum.reduceat(self.texts.lengths[self.texts.sequence], self.first)
        return longest * (self.counts + 1)


def loaded_bert(work: Workspace) -> Bert:
    """Returns the text encoder that the options name (shared work)."""
    return load_bert(work.options.bert, resolve_device(work.options.device))


def item_tokens(work: Workspace) -> ItemTokens:
    """Returns the token ids of both sides (shared work)."""
    pairs = work.pairs
    texts = [*chain.from_iterable((candidate, *own) for candidate, own in zip(pairs.candidates, pairs.references, strict=True))]
    counts = np.fromiter(map(len, pairs.references), np.int64, len(pairs))
    return ItemTokens(work.shared(loaded_bert).tokenize(texts), np.cumsum(counts + 1) - counts - 1, counts)


def greedy_matches(bert: Bert, items: ItemTokens, batch_tokens: int | None = None) -> Floats:
    """Returns float64[items, 3]: F1, precision and recall of BERTScore, the maximum of each over the item's references.

    Items go through the model whole, so that only a batch's token vectors are kept; equal texts of a batch go through it once.

    Args:
        bert: the model.
        items: the texts.
        batch_tokens: bound of tokens per forward, padding included; None for what suits the device.
    """
    costs = items.costs

    def of_items(batch: Ints) -> Floats:
        # a share of the batch's own cost: where memory ran out, batches get smaller, and forwards with them
        return _of_items(bert, items, batch, int(costs[batch].sum()) // FORWARDS)

    return in_batches(costs, of_items, bert.device, FORWARDS * (batch_tokens or BATCH_TOKENS[bert.device]))


def _of_items(bert: Bert, items: ItemTokens, batch: Ints, tokens: int) -> Floats:
    """Returns float64[b, 3] for one batch of items."""
    counts, first = items.counts[batch], items.first[batch]
    begin = np.cumsum(counts) - counts
    # of pairs of a candidate and a reference: which text is which
    candidate = np.repeat(first, counts)
    reference = candidate + 1 + np.arange(counts.sum()) - np.repeat(begin, counts)
    sequence = items.texts.sequence
    used = np.unique(np.concatenate((sequence[candidate], sequence[reference])))
    vectors, starts = bert.inner_vectors(items.texts, used, tokens)
    lengths = items.texts.lengths[used] - MARKS
    sides = [_vectors_of(vectors, starts, lengths, np.searchsorted(used, sequence[side])) for side in (candidate, reference)]
    shares = _precision_and_recall(*sides)
    check_numbers(shares, f"the {KIND} {bert.identity}")
    total = shares.sum(axis=0)
    f1 = np.divide(2 * shares.prod(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return np.maximum.reduceat(np.stack((f1, *shares), axis=1), begin, axis=0)


def _vectors_of(vectors: Any, starts: Ints, lengths: Ints, which: Ints) -> tuple[Any, Ints]:
    """Returns a float32 tensor [p, longest, d], zero behind a text's end, and int64[p] lengths."""
    import torch

    column = np.arange(max(1, int(lengths[which].max())))
    places = np.where(column < lengths[which][:, None], starts[which][:, None] + column, len(vectors) - 1)
    return vectors[torch.from_numpy(places).to(vectors.device)], lengths[which]


def _precision_and_recall(candidate: tuple[Any, Ints], reference: tuple[Any, Ints]) -> Floats:
    """Returns float64[2, pairs]; 0 for the side of a text without tokens."""
    import torch

    (ours, n_ours), (theirs, n_theirs) = candidate, reference
    with torch.inference_mode():
        # zero rows, behind a text's end, are the floor of 0; a text that is not padded gets it by the clamp
        cosines = (ours @ theirs.transpose(1, 2)).clamp(0.0, 1.0)
        sums = [cosines.amax(dim=side).double().sum(dim=-1).cpu().numpy() for side in (2, 1)]
    return np.stack(sums) / np.maximum(np.stack((n_ours, n_theirs)), 1)


@lru_cache(maxsize=LOADED_AT_ONCE)
def load_bert(name: str, device: str) -> Bert:
    """Returns the text encoder called `name`, kept for the next call of this process.

    Args:
        name: a folder, or a repository on the Hub.
        device: `cpu` or `cuda`.

    Raises:
        UnknownNameError: the Hub knows no such repository, or there is no such folder.
        InputError: it is no text encoder with its tokenizer, or lacks weights.
        MissingRequirementError: the Hub cannot be reached.
    """
    is_old_name = "/" not in name and not names_a_path(name) and not Path(name).is_dir()
    folder, identity = hub_snapshot(name, KIND, [], INSTEAD) if is_old_name else local_or_hub(name, KIND, [], INSTEAD)
    with quiet_loading():
        import torch
        from transformers import AutoModel, AutoTokenizer

        try:
            with torch.random.fork_rng(devices=[]):  # a missing pooler is drawn; the caller's generator stays as it was
                model, report = AutoModel.from_pretrained(str(folder), dtype=torch.float32, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(str(folder))
            check_tokenizer(tokenizer, folder, model.config.vocab_size)
        except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
            raise InputError(
                f"{name} cannot be loaded as a {KIND} with its tokenizer: {shorten(' '.join(str(error).split()), 300)}"
            ) from error
    check_weights(model, report, f"{name} is no {KIND}")
    return Bert(model.to(device).eval(), tokenizer, identity, device)
