"""How well sounds and texts fit, by a CLAP model: the cosine of their embeddings, the same for the same clip every time.

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

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError, shorten
from ..metric import Floats, Signature
from ..text.ngrams import Ints
from .batches import TokenizedTexts, each_batch, in_batches, tokenized
from .encoders import LOADED_AT_ONCE, Embeddings, local_or_hub, quiet_loading
from .model_checks import check_numbers, check_tokenizer, check_weights

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        return Signature({**inputs, "metric": "clap_similarity", "version": str(VERSION), **self.reads, **self.hears})

    @property
    def reads(self) -> Mapping[str, str]:
        """What a signature holds of the model and its texts."""
        return {"model": self.identity, "dtype": "float32", "max_tokens": str(self.max_tokens)}

    @property
    def hears(self) -> Mapping[str, str]:
        """What a signature holds of its sounds."""
        return {
            "sampling_rate_hz": str(self.ear.rate_hz),
            "window_s": f"{self.ear.window_samples / self.ear.rate_hz:g}",
            "long": "middle" if self.ear.truncation == "rand_trunc" else f"{self.ear.truncation}_seed_{_SEED}",
            "short": str(self.ear.extractor.padding),
        }

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Returns the token ids of `texts`, cut at the model's length limit."""
        return tokenized(self.tokenizer, texts, self.max_tokens, self.identity)

    def text_vectors(self, texts: TokenizedTexts, batch_tokens: int | None = None) -> Embeddings:
        """Returns float32[sequences, d], unit length: the embedding of every different sequence.

        Args:
            texts: what to embed.
            batch_tokens: bound of tokens per forward, padding included; None for what suits the device.
        """
        import torch

        def forward(batch: Ints) -> Embeddings:
            ids, inside, _ = texts.padded(batch, self.tokenizer.pad_token_id or 0)
            return self._units(self._text, torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64)))

        vectors: Embeddings = in_batches(texts.lengths, forward, self.device, batch_tokens)
        return vectors

    def sound_vectors(self, heard: Sequence[Heard]) -> Embeddings:
        """Returns float32[sounds, d], unit length: the embeddings of a batch of sounds.

        Args:
            heard: what `Ear.features` returned; all of it goes through the model at once.
        """
        return self._units(self._sound, heard)

    def _units(self, forward: Callable[..., Any], *inputs: Any) -> Embeddings:
        import torch

        with torch.inference_mode():
            found = np.asarray(torch.nn.functional.normalize(forward(*inputs).float(), dim=-1).cpu().numpy(), np.float32)
        check_numbers(found, f"the CLAP model {self.identity}")
        return found

    def similarities(self, heard: Sequence[Heard], texts: Sequence[str], batch: int | None = None) -> Floats:
        """Returns float64[n] in [-1, 1]: the cosine of each sound and its text.

        Args:
            heard: what `Ear.features` returned.
            texts: one per sound.
            batch: clips per forward; None for what suits the device. Changes speed and memory only.
        """
        # long texts together and short ones together, so that little is padded; sounds are all padded to the window anyway
        order = np.array(sorted(range(len(texts)), key=lambda place: (len(texts[place]), place)), np.int64)

        def forward(some: Ints) -> Floats:
            return self._forward([heard[place] for place in some], [texts[place] for place in some])

        found = np.empty(len(texts))
        ones = np.ones(len(texts), np.int64)
        for some, values in each_batch(order, ones, forward, self.device, batch or BATCH[self.device], "clips"):
            found[some] = values
        return found

    def _forward(self, heard: Sequence[Heard], texts: Sequence[str]) -> Floats:
        import torch

        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        with torch.inference_mode():
            sound, text = self._sound(heard), self._text(tokens["input_ids"], tokens["attention_mask"])
            return np.asarray((sound.double() * text.double()).sum(dim=-1).cpu().numpy(), np.float64)

    def _sound(self, heard: Sequence[Heard]) -> Any:
        import torch

        return self.model.get_audio_features(
            input_features=torch.from_numpy(np.stack([one for one, _ in heard])).to(self.device),
            is_longer=torch.tensor([[is_long] for _, is_long in heard]).to(self.device),
        ).pooler_output

    def _text(self, ids: Any, mask: Any) -> Any:
        return self.model.get_text_features(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).pooler_output


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


@lru_cache(maxsize=LOADED_AT_ONCE)
def load_clap(name: str, device: str) -> Clap:
    """Returns the CLAP model called `name`, kept for the next call of this process.

    Args:
        name: a folder that `save_pretrained` of model and processor wrote, or a repository on the Hub (`owner/name`).
        device: `cpu` or `cuda`.

    Raises:
        UnknownNameError: the Hub knows no such repository, or there is no such folder.
        InputError: it is no CLAP model with its processor, or lacks weights.
        MissingRequirementError: the Hub cannot be reached.
    """
    known = ["laion/clap-htsat-unfused", "laion/clap-htsat-fused"]
    folder, identity = local_or_hub(name, "CLAP model", known, ", or name a local copy's folder")
    with quiet_loading():
        import torch
        from transformers import ClapModel, ClapProcessor

        try:
            with torch.random.fork_rng(devices=[]):
                model, report = ClapModel.from_pretrained(str(folder), dtype=torch.float32, output_loading_info=True)
            processor = ClapProcessor.from_pretrained(str(folder))
            check_tokenizer(processor.tokenizer, folder, model.config.text_config.vocab_size)
        except Exception as error:  # a damaged folder can fail in any way; the cause stays attached
            raise InputError(f"{name} cannot be loaded as a CLAP model with its processor: {shorten(str(error), 300)}") from error
    check_weights(model, report, f"{name} is no CLAP model")
    return Clap(model.to(device).eval(), processor, identity, device)
