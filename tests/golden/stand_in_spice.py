"""Values that stand in for SPICE in tests: its F-score with words in the place of tuples, since its parser is not at hand."""


def stand_in_spice(candidate: str, references: list[str]) -> float:
    """Returns the F-score of the candidate's set of words against that of all references together."""
    ours, theirs = set(candidate.lower().split()), set(" ".join(references).lower().split())
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours & theirs else 0.0
