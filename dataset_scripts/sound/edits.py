"""What is said about an edit: captions of mixtures, edit instructions, and what two captions have in common.

- Templates are those of AuditEval (`infer_batch.jsonl`): "X, while E sound.", with "with" or "and" in place of "while", and
  "E sound, then X."; X is the base's caption without its last stop, E the event's label, both as they are written.
- Words are compared without punctuation and case.
- Source: the rules of `commonality` are those of the paper on audio difference and commonality captioning.
"""

from __future__ import annotations

import re

BESIDE = ("while", "with", "and")  # the event is heard at any time
BEFORE = "then"  # the event is over when the base begins
_CONNECTIVES = frozenset({*BESIDE, BEFORE})
_SOUND = "sound"
_STOPS = " \t\n.!?;:,"


def mixture_caption(caption: str, label: str, template: str) -> str:
    """Returns the caption of a base clip with an event in it.

    Args:
        caption: the base's.
        label: the event's.
        template: `while`, `with`, `and`, or `then` for an event before all that is heard of the base.

    >>> mixture_caption("Idling car, train blows horn and passes.", "yapping dog barking", "while")
    'Idling car, train blows horn and passes, while yapping dog barking sound.'
    >>> mixture_caption("Male voice with boots tapping on the floor.", "ticking clock", "then")
    'ticking clock sound, then Male voice with boots tapping on the floor.'
    """
    said, event = caption.strip().rstrip(_STOPS), label.strip()
    if template == BEFORE:
        return f"{event} {_SOUND}, {BEFORE} {said}."
    return f"{said}, {template} {event} {_SOUND}."


def instruction(operation: str, *labels: str) -> str:
    """Returns what an edit does, in words.

    Args:
        operation: `add`, `delete` or `replace`.
        labels: the event concerned; for `replace` the one that goes, then the one that comes.

    >>> instruction("add", "a burst of bird song"), instruction("delete", "ticking clock")
    ('add a burst of bird song', 'remove ticking clock')
    >>> instruction("replace", "ticking clock", "yapping dog barking")
    'replace ticking clock with yapping dog barking'
    """
    if operation == "replace":
        gone, come = labels
        return f"replace {gone.strip()} with {come.strip()}"
    (label,) = labels
    return f"{'add' if operation == 'add' else 'remove'} {label.strip()}"


def commonality(operation: str, before: str, after: str) -> str:
    """Returns what the captions before and after an edit have in common.

    What is added to is common, and what is left: `add` gives the caption before, `delete` the caption after, `replace` the
    longest span of words of both (`common_span`).

    >>> commonality("add", "A waterfall.", "A waterfall, and ticking clock sound.")
    'A waterfall.'
    >>> commonality("replace", "A waterfall, and yapping dog barking sound.", "A waterfall, and ticking clock sound.")
    'A waterfall'
    """
    if operation == "add":
        return before
    return after if operation == "delete" else common_span(before, after)


def common_span(one: str, other: str) -> str:
    """Returns the longest span of words that stands in both texts, as `one` writes it; an empty text where there is none.

    Of several longest spans the first in `one` is taken. Then connectives (while, with, and, then) are taken off its ends, and
    the template's word `sound`: the one before `then`, or where there is none, the last word of `one`. Punctuation at its ends
    goes, too.

    >>> common_span("ticking clock sound, then Male voice with boots.", "dog barking sound, then Male voice with boots.")
    'Male voice with boots'
    >>> common_span("Sound of an engine, with a bell sound.", "sound of an engine with a dog sound.")
    'Sound of an engine, with a'
    >>> common_span("Rain.", "Wind.")
    ''
    """
    first, second = _words(one), _words(other)
    ours, theirs = [word for word, _, _ in first], [word for word, _, _ in second]
    begin, end = _longest(ours, theirs)
    is_before = any(ours[i : i + 2] == [_SOUND, BEFORE] for i in range(len(ours)))
    while begin < end:
        if ours[begin] in _CONNECTIVES or ours[begin : begin + 2] == [_SOUND, BEFORE]:
            begin += 1
        elif ours[end - 1] in _CONNECTIVES or (ours[end - 1] == _SOUND and ours[end:] == [] and not is_before):
            end -= 1
        else:
            return one[first[begin][1] : first[end - 1][2]]
    return ""


def _words(text: str) -> list[tuple[str, int, int]]:
    """Returns the words of a text in lower case, without punctuation inside, with begin and end in the text.

    >>> _words("A dog's bark, then -")
    [('a', 0, 1), ('dogs', 2, 7), ('bark', 8, 12), ('then', 14, 18)]
    """
    found = []
    for match in re.finditer(r"\w+(?:[^\w\s]+\w+)*", text):
        found.append((re.sub(r"[^\w]", "", match[0]).casefold(), match.start(), match.end()))
    return found


def _longest(one: list[str], other: list[str]) -> tuple[int, int]:
    """Returns begin and end in `one` of the first of the longest spans that `other` holds, too; (0, 0) for none."""
    best, length = 0, 0
    row = [0] * (len(other) + 1)
    for i, word in enumerate(one, 1):
        # row[j]: how many words up to one[i - 1] and other[j - 1] are the same
        row = [0] + [row[j - 1] + 1 if word == there else 0 for j, there in enumerate(other, 1)]
        if max(row) > length:
            length = max(row)
            best = i - length
    return best, best + length
