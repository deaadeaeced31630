"""How texts reach a model: each different token sequence once, in batches of similar length and a bounded number of tokens.

Out of memory halves the bound and says so. Where several processes were started by `torchrun`, each takes its share of the
batches and all of them end up with every result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError
from ...dataset_scripts.progress import progress
from ..text.ngrams import Ints

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
# tokens per forward, padding included: on a processor small batches take as long as large ones and less memory (1.3 GiB, not
# 1.6, for 80,000 captions with minilm); a GPU wants large ones
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
TOKENIZED_AT_ONCE = 8192  # texts: bounds the memory of the tokenizer's own output


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as token ids, each different sequence once.

    Attributes:
        ids: int64[total], the sequences one after the other, special tokens included.
        lengths: int64[sequences].
        sequence: int64[texts], the sequence of each text.
        n_truncated: how many texts were longer than the encoder reads.
    """

    ids: Ints
    lengths: Ints
    sequence: Ints
    n_truncated: int

    @cached_property
    def starts(self) -> Ints:
        """int64[sequences]: where each sequence begins in `ids`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def n_texts_of(self) -> Ints:
        """int64[sequences]: how many texts are this sequence."""
        return np.bincount(self.sequence, minlength=len(self.lengths))

    def padded(self, batch: Ints, padding_id: int) -> tuple[Ints, npt.NDArray[np.bool_], Ints]:
        """Returns the sequences of a batch as a matrix.

        Args:
            batch: int64[b], which sequences.
            padding_id: the id of the places behind a sequence's end.

        Returns:
            int64[b, longest] ids, bool[b, longest] places that are inside, int64[inside] their places in `self.ids`.
        """
        lengths = self.lengths[batch]
        column = np.arange(lengths.max())
        inside = column < lengths[:, None]
        source = (self.starts[batch][:, None] + column)[inside]
        ids = np.full(inside.shape, padding_id, np.int64)
        ids[inside] = self.ids[source]
        return ids, inside, source


def tokenized(tokenizer: Any, texts: Sequence[str], max_tokens: int, identity: str) -> TokenizedTexts:
    """Returns the token ids of `texts`, cut at `max_tokens`.

    Args:
        tokenizer: a tokenizer of transformers.
        texts: any texts, empty ones too.
        max_tokens: how many tokens the model reads, special ones included.
        identity: the model's name, for messages.

    Raises:
        InputError: a text gives no token at all, not even a special one.
    """
    index_of_text: dict[str, int] = {}
    text_index = np.fromiter((index_of_text.setdefault(text, len(index_of_text)) for text in texts), np.int64, len(texts))
    different = list(index_of_text)
    index_of_sequence: dict[bytes, int] = {}
    sequence_index = np.empty(len(different), np.int64)
    is_truncated = np.zeros(len(different), bool)
    for start in range(0, len(different), TOKENIZED_AT_ONCE):
        chunk = different[start : start + TOKENIZED_AT_ONCE]
        for offset, (ids, truncated) in enumerate(_token_ids(tokenizer, chunk, max_tokens)):
            key = np.array(ids, np.int64).tobytes()
            sequence_index[start + offset] = index_of_sequence.setdefault(key, len(index_of_sequence))
            is_truncated[start + offset] = truncated
    flat = np.frombuffer(b"".join(index_of_sequence), np.int64)
    lengths = np.fromiter((len(key) // 8 for key in index_of_sequence), np.int64, len(index_of_sequence))
    if not lengths.all():
        raise InputError(f"the encoder {identity} makes no token of an empty text; use one that marks begin and end.")
    return TokenizedTexts(flat, lengths, sequence_index[text_index], int(is_truncated[text_index].sum()))


def _token_ids(tokenizer: Any, texts: list[str], max_tokens: int) -> Iterator[tuple[list[int], bool]]:
    encoded = tokenizer(texts, truncation=True, max_length=max_tokens, return_attention_mask=False, return_token_type_ids=False)
    for text, ids in zip(texts, encoded["input_ids"], strict=True):
        # only a full sequence can have been cut; those few are looked at again
        yield ids, len(ids) == max_tokens and len(tokenizer(text, verbose=False)["input_ids"]) > max_tokens


def in_batches(
    lengths: Ints,
    forward: Callable[[Ints], Array],
    device: str,
    batch_tokens: int | None = None,
    label: str = "encoding",
    unit: str = "tokens",
) -> Array:
    """Returns the results of `forward` for every sequence, in the order of `lengths`; (0, 0) where there is none.

    Args:
        lengths: int64[n], tokens of each sequence.
        forward: takes int64[b], which sequences, and returns an array [b, ...], always of one type and shape but for b.
        device: `cpu` or `cuda`.
        batch_tokens: bound of tokens per forward, padding included; None for what suits the device.
        label: what stands in front of the progress bar.
        unit: what `lengths` counts, for messages.
    """
    rank, world = _place()
    order = np.argsort(-lengths, kind="stable")
    if world > 1:
        order = order[rank::world]  # every process gets long and short ones
    results: Array | None = None
    with progress(len(order), label, unit="text") as bar:
        for batch, made in each_batch(order, lengths, forward, device, batch_tokens or BATCH_TOKENS[device], unit):
            if results is None:
                results = np.zeros((len(lengths), *made.shape[1:]), made.dtype)
            results[batch] = made
            bar.update(len(batch))
    if world > 1:
        results = _gathered(results, order, len(lengths))
    return results if results is not None else np.empty((0, 0), np.float32)


def each_batch(
    order: Ints, lengths: Ints, forward: Callable[[Ints], Array], device: str, budget: int, unit: str = "tokens"
) -> Iterator[tuple[Ints, Array]]:
    """Yields batches and what `forward` returns for them; out of memory halves the bound for all that follow.

    Args:
        order: int64[m], which sequences, in the order in which they go; the first of a batch should be its longest.
        lengths: int64[n], what each sequence costs.
        forward: takes int64[b], which sequences, and returns an array [b, ...].
        device: `cpu` or `cuda`.
        budget: bound of b times the cost of the first.
        unit: what `lengths` counts, for messages.
    """
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, int(lengths[order[start]])))
        batch = order[start : start + size]
        try:
            made = forward(batch)
        except Exception as error:
            if len(batch) == 1 or not _is_out_of_memory(error):
                raise
            budget = max(1, min(budget, size * int(lengths[batch[0]])) // 2)
            _free_memory(device)
            log.warning("out of memory on %s: going on with %d %s per forward", device, budget, unit)
            continue
        yield batch, made
        start += len(batch)


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # a GPU has an exception of its own; the allocator of the processor has only words
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _free_memory(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.empty_cache()


def _place() -> tuple[int, int]:
    """Returns which of how many processes this one is: (0, 1) unless `torchrun` started several."""
    import torch.distributed as group

    if not group.is_available() or not group.is_torchelastic_launched():
        return 0, 1
    if not group.is_initialized():
        group.init_process_group("gloo")  # results travel through the processors' memory
    return group.get_rank(), group.get_world_size()


def all_agree(is_so: bool) -> bool:
    """Returns whether something is so for all processes that `torchrun` started; where there is one, for this one."""
    _, world = _place()
    if world == 1:
        return is_so
    import torch.distributed as group

    answers: list[Any] = [None] * world
    group.all_gather_object(answers, is_so)
    return all(answers)


def _gathered(results: Array | None, mine: Ints, n: int) -> Array | None:
    import torch.distributed as group

    parts: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(parts, (mine, None if results is None else results[mine]))
    full: Array | None = None
    for places, values in parts:
        if values is None:
            continue
        if full is None:
            full = np.zeros((n, *values.shape[1:]), values.dtype)
        full[places] = values
    return full
