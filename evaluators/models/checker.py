r"""Fluency error checkers: how probable it is that a caption is broken (cut off, repeated, without its verb).

A checker is a text classifier whose last class means "error"; p = sigmoid of that class's logit. It is named by

- a published name, `echecker_clotho_audiocaps_base` or `echecker_clotho_audiocaps_tiny`: fetched once into
  `<home>/checkers/<name>/<name>.ckpt` (a file in `~/.fense_data` serves as well), its SHA-256 checked whenever it is loaded;
- a file `*.ckpt` of the same form: `model_type` (the base model's name), `num_classes` and `state_dict`, which holds the weights
  of the base model (`encoder.*`) and of one linear layer on its first token (`clf.*`);
- a sequence classifier of transformers: a local folder, or a repository on the Hub (`owner/name`).

A checkpoint holds all weights but neither architecture nor vocabulary. Those come from a folder `base` beside the file (of a
published name: `<home>/checkers/<name>/base`), else from where `model_type` says: a folder, or a repository on the Hub, of which
configuration and tokenizer are fetched, no weights. Offline use needs the file and, in `base`, `config.json` and the tokenizer.

Text loses what is neither word character nor white space and is lower-cased; 64 tokens are read. Weights are float32.
Where this differs from the peers: MECAT's package reads 256 tokens when it is handed several texts and 64 when it is handed one;
here it is 64 throughout, as in FENSE. Padding is to the longest text of a batch, not to the limit: masked places change a
probability by rounding only. A checkpoint whose weights do not fill the model exactly is refused.

Source: Zhou et al. 2022 (ICASSP), section 3.2, and the published code of FENSE.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.download import published_file
from ...dataset_scripts.errors import ChecksumError, FetchError, InputError, MissingRequirementError, shorten
from ...dataset_scripts.settings import Settings
from ..metric import Floats
from ..text.ngrams import Ints
from ..workspace import Workspace
from .batches import TokenizedTexts, in_batches, tokenized
from .encoders import LOADED_AT_ONCE, content_hash, hub_snapshot, local_or_hub, names_a_path, quiet_loading, resolve_device
from .model_checks import check_numbers, check_tokenizer, check_weights

THRESHOLD = 0.9  # of FENSE and of DATE; published code
PENALTY = 0.9  # Zhou et al. 2022, section 3.2
MAX_TOKENS = 64  # special tokens included; published code of FENSE

_NEITHER_WORD_NOR_SPACE = re.compile(r"[^\w\s]")
_ALWAYS_ONE_TO_N = "encoder.embeddings.position_ids"  # a table of 0, 1, 2 ...; newer releases of transformers do not store it
_PARTS_OF_A_BASE = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class Published:
    """A checkpoint that the authors of FENSE published."""

    url: str
    sha256: str


PUBLISHED = {
    "echecker_clotho_audiocaps_base": Published(
        "https://github.com/blmoistawinde/fense/releases/download/V0.1/echecker_clotho_audiocaps_base.ckpt",
        "1a719f090af70614bbdb9f9437530b7e133c48cfa4a58d964de0d47fc974a2fa",
    ),
    "echecker_clotho_audiocaps_tiny": Published(
        "https://github.com/blmoistawinde/fense/releases/download/V0.1/echecker_clotho_audiocaps_tiny.ckpt",
        "90ed0ac5033ec497ec66d4f68588053813e085671136dae312097c96c504f673",
    ),
}


class ErrorChecker:
    """A loaded checker.

    Args:
        logits: takes token ids and mask, int64 tensors [b, t], and returns a tensor [b, classes].
        tokenizer: a tokenizer of transformers.
        identity: what signatures print: published name, or content hash, or repository and commit.
        device: torch device that the model is on.
    """

    def __init__(self, logits: Callable[[Any, Any], Any], tokenizer: Any, identity: str, device: str) -> None:
        self.logits, self.tokenizer, self.identity, self.device = logits, tokenizer, identity, device

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Returns the token ids of the cleaned texts, cut at 64."""
        return tokenized(self.tokenizer, [cleaned(text) for text in texts], MAX_TOKENS, self.identity)

    def probabilities(self, texts: TokenizedTexts, batch_tokens: int | None = None) -> npt.NDArray[np.float32]:
        """Returns float32[sequences]: the probability of an error in every different sequence.

        Args:
            texts: what to check.
            batch_tokens: bound of tokens per forward, padding included; None for what suits the device.

        Raises:
            InputError: the weights give values that are no numbers.
        """
        found = in_batches(texts.lengths, lambda batch: self._forward(texts, batch), self.device, batch_tokens, "checking")
        check_numbers(found, f"the error checker {self.identity}")
        return found

    def _forward(self, texts: TokenizedTexts, batch: Ints) -> npt.NDArray[np.float32]:
        import torch

        ids, inside, _ = texts.padded(batch, self.tokenizer.pad_token_id or 0)
        with torch.inference_mode():
            logits = self.logits(torch.from_numpy(ids).to(self.device), torch.from_numpy(inside.astype(np.int64)).to(self.device))
            return np.asarray(torch.sigmoid(logits[:, -1].float()).cpu().numpy(), np.float32)


def cleaned(text: str) -> str:
    """Returns the text as a checker reads it.

    >>> cleaned("A dog's bark, (loudly)…")
    'a dogs bark loudly'
    """
    return _NEITHER_WORD_NOR_SPACE.sub("", text).lower()


def loaded_checker(work: Workspace) -> ErrorChecker:
    """Returns the checker that the options name (shared work)."""
    return load_checker(work.options.checker, resolve_device(work.options.device))


def checked_tokens(work: Workspace) -> TokenizedTexts:
    """Returns the candidates as the checker reads them (shared work)."""
    return work.shared(loaded_checker).tokenize(work.pairs.candidates)


def error_probabilities(work: Workspace) -> Floats:
    """Returns float64[n]: for each candidate the probability that it is broken, a float32 value (shared work)."""
    tokens = work.shared(checked_tokens)
    return work.shared(loaded_checker).probabilities(tokens, work.options.batch_tokens)[tokens.sequence].astype(np.float64)


def fluency_errors(probabilities: Floats, threshold: float = THRESHOLD) -> Floats:
    """Returns float64[n]: 1 where the probability is above the threshold (strictly, as float32 values), else 0.

    >>> fluency_errors(np.float32([0.2, 0.9, 0.95]).astype(float)).tolist()
    [0.0, 0.0, 1.0]
    """
    return (probabilities > np.float64(np.float32(threshold))).astype(np.float64)


def fluency_factors(errors: Floats, penalty: float = PENALTY) -> Floats:
    """Returns float64[n]: what a candidate's value is multiplied with, 1 - penalty where it has an error, else 1.

    >>> fluency_factors(np.array([0.0, 1.0]), penalty=0.3).tolist()
    [1.0, 0.7]
    """
    return 1.0 - penalty * errors


@lru_cache(maxsize=LOADED_AT_ONCE)
def load_checker(name: str, device: str) -> ErrorChecker:
    """Returns the checker called `name`, kept for the next call of this process.

    Args:
        name: a published name, a file `*.ckpt`, a folder, or a repository on the Hub.
        device: `cpu` or `cuda`.

    Raises:
        UnknownNameError: there is neither a published checker nor a folder nor a repository of that name.
        ChecksumError: the file of a published name is not the published one.
        InputError: the file or folder is no error checker; the message says what it lacks.
        MissingRequirementError: something has to be fetched and cannot be.
        StorageError: what was fetched cannot be written.
    """
    if name in PUBLISHED:
        folder = Settings.from_environment().home / "checkers" / name
        return _from_checkpoint(_published_checkpoint(name, folder), folder / "base", name, device)
    path = Path(name).expanduser()
    if path.suffix == ".ckpt" or path.is_file():
        if not path.is_file():
            raise InputError(f"{name} does not exist; expected the checkpoint of an error checker. Check the path.")
        return _from_checkpoint(path, path.parent / "base", f"local@sha256:{_sha256(path)[:12]}", device)
    return _from_classifier(name, device)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _published_checkpoint(name: str, folder: Path) -> Path:
    published, path = PUBLISHED[name], folder / f"{name}.ckpt"
    others = Path.home() / ".fense_data" / path.name  # where the peers put it, unchecked
    if not path.is_file() and others.is_file() and _sha256(others) == published.sha256:
        return others
    title = f"The error checker {name}"
    try:
        return published_file(published.url, path, published.sha256, wanted_by=title)
    except ChecksumError:
        raise
    except FetchError as error:
        advice = f"go online once without HF_HUB_OFFLINE, or put {published.url} at {path}"
        raise MissingRequirementError(title, f"It could not be fetched ({type(error).__name__}).", advice) from error


def _from_checkpoint(path: Path, beside: Path, identity: str, device: str) -> ErrorChecker:
    import torch

    model_type, n_classes, weights = _checkpoint(path)
    base, base_hash = _base(path, beside, model_type)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is replaced at once; the caller's generator stays as it was
        encoder, tokenizer = _empty_encoder(path, base)
        classifier = torch.nn.Linear(encoder.config.hidden_size, n_classes)
    for part, prefix in ((encoder, "encoder."), (classifier, "clf.")):
        own = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        try:
            part.load_state_dict(own)
        except (RuntimeError, TypeError) as error:
            expected = f"the {n_classes} classes that it names" if part is classifier else f"the base model in {base}"
            raise InputError(f"the weights {prefix}* of {path} do not fit {expected}: {_told(error)}. Is it its base?") from error
        part.to(device).eval()

    def logits(ids: Any, mask: Any) -> Any:
        return classifier(encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0])

    return ErrorChecker(logits, tokenizer, identity + base_hash, device)


def _checkpoint(path: Path) -> tuple[str, int, Mapping[str, Any]]:
    """Returns base model, number of classes and weights of a checkpoint; nothing in the file is ever executed."""
    import pickle

    import torch

    wanted = "expected a checkpoint with model_type, num_classes and state_dict"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is no checkpoint, or one that holds more than weights and plain values, which is not loaded; {wanted}."
        ) from error
    except Exception as error:  # a file can be damaged in any way; the cause stays attached
        raise InputError(f"{path} cannot be read ({type(error).__name__}); {wanted}.") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds {shorten(type(content).__name__)}; {wanted}.")
    kinds = {"model_type": str, "num_classes": int, "state_dict": Mapping}
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            came = shorten(content[key]) if key in content else f"missing (found {', '.join(map(str, content)) or 'nothing'})"
            raise InputError(f"{path}: {key} is {came}; {wanted}.")
    if content["num_classes"] < 1:
        raise InputError(f"{path}: num_classes is {content['num_classes']}; expected 1 or more, the last of them error.")
    weights = {str(key): tensor for key, tensor in content["state_dict"].items() if key != _ALWAYS_ONE_TO_N}
    strange = sorted(key for key in weights if not key.startswith(("encoder.", "clf.")))
    if strange:
        raise InputError(f"{path}: state_dict holds {shorten(strange[0])}; expected encoder.* and clf.* only.")
    return content["model_type"], content["num_classes"], weights


def _base(path: Path, beside: Path, model_type: str) -> tuple[Path, str]:
    """Returns the folder of the base model, and what it adds to the identity: its hash unless it came from the Hub."""
    for folder in (beside, Path(model_type).expanduser()):
        if folder.is_dir():
            return folder, f"+base@sha256:{content_hash(folder)}"
    advice = f"put its config.json and tokenizer into {beside}"
    if names_a_path(model_type):
        raise InputError(f"{path} was made from {shorten(model_type)}, which is no folder here; {advice}.")
    return hub_snapshot(model_type, "base model", [], f", or {advice}", only=_PARTS_OF_A_BASE)[0], ""


def _empty_encoder(path: Path, base: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(str(base))
            return AutoModel.from_config(config, dtype=torch.float32), _tokenizer(base, config.vocab_size)
    except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
        raise InputError(
            f"the base model of {path} cannot be loaded from {base}: {_told(error)}. Expected config.json and a tokenizer, as "
            "save_pretrained writes them."
        ) from error


def _tokenizer(folder: Path, n_words: int) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    check_tokenizer(tokenizer, folder, n_words)
    return tokenizer


def _from_classifier(name: str, device: str) -> ErrorChecker:
    import torch
    from transformers import AutoModelForSequenceClassification

    folder, identity = local_or_hub(name, "error checker", [*PUBLISHED], f", or use one of {', '.join(PUBLISHED)}")
    try:
        with quiet_loading():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                str(folder), dtype=torch.float32, output_loading_info=True
            )
            tokenizer = _tokenizer(folder, model.config.vocab_size)
    except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
        raise InputError(f"{name} cannot be loaded as a sequence classifier with its tokenizer: {_told(error)}") from error
    check_weights(model, report, f"{name} is no sequence classifier")
    model = model.to(device).eval()
    return ErrorChecker(lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits, tokenizer, identity, device)


def _told(error: Exception) -> str:
    return shorten(" ".join(str(error).split()), 300)
