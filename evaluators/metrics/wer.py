"""WER: the rate of words that a transcript of speech has wrong."""

from __future__ import annotations

from ..text.transcripts import ErrorRate, Normalizer, english_words


class Wer(ErrorRate):
    r"""WER = (S + D + I) / N.

    S words of the reference are replaced, D left out, and I words put in, in an alignment with the fewest such errors; N is the
    number of words of the reference. A corpus value pools errors and words over all items: it is not the mean of the items'
    values, and it is above 1 where more is put in than was said. Components: S / N, D / N and I / N. Of several transcripts of
    an item the one with the fewest errors counts, of several such the longest.

    Both sides are normalised by Whisper's rules for English: "we're" is "we are", "twenty-one" is "21", "colour" is "color",
    fillers, signs and what stands in brackets go. Other languages: CER. A reference in which no word is left is passed over
    where the item has another; where it has none, N is 0 and the item's value is I.

    Source: Levenshtein 1966; normalisation of Radford et al. 2022 (arXiv:2212.04356), appendix C, with the program of
    transformers and the table of spellings of the package whisper-normalizer; alignment by jiwer.
    """

    name = "wer"
    title = "WER"
    source = "Levenshtein 1966; Radford et al. 2022 (arXiv:2212.04356), appendix C"
    definition = (
        "Words of a transcript of English speech that are replaced, left out or put in, over the words that were said; pooled "
        "over the corpus."
    )
    rules = "whisper_english"

    def normalizer(self) -> Normalizer:
        """Returns the rules for English."""
        return english_words()
