"""How well a sound and a text fit, by a CLAP model: the cosine of their embeddings, the same for the same clip every time.

Any `ClapModel` of transformers, from a folder or the Hub, with the preprocessing that its processor asks for. Where that leaves
things to chance, it is pinned:

- `rand_trunc` (unfused models): of a sound longer than the window (10 s), the window in the middle is taken, not a random one.
- `fusion` (fused models): the three crops beside the shrunk whole are drawn by seed 0 anew for every clip.
- A short sound never counts as long; the processor declares a random one of a batch to be long when none is.

So a value depends on the clip and the text alone; what else is in the batch moves it by less than 1e-5, and so does the device.
Weights are float32. Sound is mono at the model's rate.
Source: Wu et al. 2023 (ICASSP), arXiv:2211.06687, sections 3.2 (feature fusion) and 4.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..dataset_scripts.errors import InputError, shorten
from .encoders import local_or_hub, quiet_loading
from .metric import Floats, Signature

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]
Heard: TypeAlias = tuple[npt.NDArray[np.float32], bool]  # features, is it longer than the window

VERSION = 1
BATCH = {"cpu": 8, "cuda": 64}
_SEED = 0
_random_state = threading.Lock()


class Ear:
    """What a CLAP model needs of a sound: the part that runs on a processor, and that can be sent to another process.

    Args:
        extractor: a `ClapFeatureExtractor`.
    """

    def __init__(self, extractor: Any) -> None:
        self.extractor = extractor
        self.rate_hz = int(extractor.sampling_rate)
        self.window_samples = int(extractor.nb_max_samples)
        self.truncation = str(extractor.truncation)

    def features(self, samples: Samples) -> Heard:
        """Returns what the model hears, and whether the sound is longer than its window.

        Args:
            samples: float32[n], mono at `rate_hz`, not empty.

        Returns:
            float32[n_views, n_frames, n_mels]: log-mel spectrograms, one for unfused models, four for fused ones.
        """
        window, hop = self.window_samples, int(self.extractor.hop_length)
        if self.truncation == "rand_trunc" and len(samples) > window:
            begin = (len(samples) - window) // 2
            samples = samples[begin : begin + window]
        with _fixed_draws():
            found = self.extractor(samples, sampling_rate=self.rate_hz, return_tensors="np")
        # a sound that is longer by less than a frame is not: the extractor takes it whole
        return np.asarray(found["input_features"][0], np.float32), len(samples) // hop > window // hop


class Clap:
    """A loaded CLAP model.

    Args:
        model: a `ClapModel`.
        processor: its `ClapProcessor`.
        identity: what signatures print: repository with commit, or a hash of the folder's content.
        device: torch device that the model is on.

    Raises:
        InputError: model and processor disagree about fusion.
    """

    def __init__(self, model: Any, processor: Any, identity: str, device: str) -> None:
        self.model, self.identity, self.device = model, identity, device
        self.ear, self.tokenizer = Ear(processor.feature_extractor), processor.tokenizer
        truncation = self.ear.truncation
        is_fused = bool(model.config.audio_config.enable_fusion)
        if is_fused != (truncation == "fusion"):
            wanted = "fusion" if is_fused else "rand_trunc"
            raise InputError(
                f"the CLAP model {identity} was {'' if is_fused else 'not '}trained with feature fusion, and the truncation in "
                f"its preprocessor_config.json is {truncation!r}; expected {wanted!r}."
            )
        # positions of the text encoder begin behind its padding token, as in RoBERTa
        text = model.config.text_config
        self.max_tokens = min(int(self.tokenizer.model_max_length), text.max_position_embeddings - (text.pad_token_id or 0) - 1)

    def signature(self, inputs: Mapping[str, str]) -> Signature:
        """Returns the recipe of the similarities.

        Args:
            inputs: what the caller did to get sounds and texts, such as the resampler.
        """
        return Signature(
            {
                **inputs,
                "metric": "clap_similarity",
                "version": str(VERSION),
                "model": self.identity,
                "dtype": "float32",
                "sampling_rate_hz": str(self.ear.rate_hz),
                "window_s": f"{self.ear.window_samples / self.ear.rate_hz:g}",
                "long": "middle" if self.ear.truncation == "rand_trunc" else f"{self.ear.truncation}_seed_{_SEED}",
                "short": str(self.ear.extractor.padding),
                "max_tokens": str(self.max_tokens),
            }
        )

    def similarities(self, heard: Sequence[Heard], texts: Sequence[str], batch: int | None = None) -> Floats:
        """Returns float64[n] in [-1, 1]: the cosine of each sound and its text.

        Args:
            heard: what `Ear.features` returned.
            texts: one per sound.
            batch: clips per forward; None for what suits the device. Changes speed and memory only.
        """
        size = batch or BATCH[self.device]
        # long texts together and short ones together, so that little is padded; sounds are all padded to the window anyway
        order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))
        found = np.empty(len(texts))
        begin = 0
        import torch

        while begin < len(order):
            some = order[begin : begin + size]
            try:
                found[some] = self._forward([heard[place] for place in some], [texts[place] for place in some])
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                size = max(1, size // 2)
                torch.cuda.empty_cache()
                log.warning("out of memory on %s: going on with %d clips per forward", self.device, size)
                continue
            begin += len(some)
        return found

    def _forward(self, heard: Sequence[Heard], texts: Sequence[str]) -> Floats:
        import torch

        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        with torch.inference_mode():
            sound = self.model.get_audio_features(
                input_features=torch.from_numpy(np.stack([one for one, _ in heard])).to(self.device),
                is_longer=torch.tensor([[is_long] for _, is_long in heard]).to(self.device),
            ).pooler_output
            text = self.model.get_text_features(
                input_ids=tokens["input_ids"].to(self.device), attention_mask=tokens["attention_mask"].to(self.device)
            ).pooler_output
            return np.asarray((sound.double() * text.double()).sum(dim=-1).cpu().numpy(), np.float64)


@contextmanager
def _fixed_draws() -> Iterator[None]:
    """Makes the draws that the extractor takes from numpy's global generator the same in every call; leaves that as it was."""
    with _random_state:
        before = np.random.get_state()  # noqa: NPY002 - the generator that transformers draws from
        np.random.seed(_SEED)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def load_clap(name: str, device: str) -> Clap:
    """Returns the CLAP model called `name`.

    Args:
        name: a folder that `save_pretrained` of model and processor wrote, or a repository on the Hub (`owner/name`).
        device: `cpu` or `cuda`.

    Raises:
        UnknownNameError: the Hub knows no such repository, or there is no such folder.
        InputError: it is no CLAP model with its processor.
        MissingRequirementError: the Hub cannot be reached.
    """
    known = ["laion/clap-htsat-unfused", "laion/clap-htsat-fused"]
    folder, identity = local_or_hub(name, "CLAP model", known, ", or name a local copy's folder")
    with quiet_loading():
        import torch
        from transformers import ClapModel, ClapProcessor

        try:
            model = ClapModel.from_pretrained(str(folder), dtype=torch.float32).to(device).eval()
            processor = ClapProcessor.from_pretrained(str(folder))
        except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
            raise InputError(f"{name} cannot be loaded as a CLAP model with its processor: {shorten(str(error), 300)}") from error
    return Clap(model, processor, identity, device)
