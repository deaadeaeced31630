"""CER: the rate of letters that a transcript of speech has wrong."""

from __future__ import annotations

from ..text.transcripts import ErrorRate, Normalizer, letters


class Cer(ErrorRate):
    r"""CER = (S + D + I) / N, over letters in place of the words of WER.

    A letter is what a reader takes for one (an extended grapheme cluster), of any script; blanks are none, so that languages
    which write none are scored like those which do. Pooling, components, several references and references without letters
    are as in WER.

    Both sides are normalised by Whisper's rules for any language: case, signs and what stands in brackets go, accents stay,
    numbers and contractions are left as they are.

    Source: Levenshtein 1966; normalisation of Radford et al. 2022 (arXiv:2212.04356), appendix C, with the program of
    transformers; alignment by jiwer. Deliberate difference: jiwer and torchmetrics count blanks as letters unless told not to.
    """

    name = "cer"
    title = "CER"
    source = "Levenshtein 1966; Radford et al. 2022 (arXiv:2212.04356), appendix C"
    definition = (
        "Letters of a transcript of speech, in any language, that are replaced, left out or put in, over the letters that were "
        "said; pooled over the corpus."
    )
    rules = "whisper_basic_letters"

    def normalizer(self) -> Normalizer:
        """Returns the rules for any language."""
        return letters()
