"""The prose of a dataset's card as HTML: paragraphs, lists, headings, code, links. Everything else is text, markup too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_ITEM = re.compile(r"[-*] +")
_HEADING = re.compile(r"(#{1,4}) +(.*)")
_SPAN = re.compile(
    r"`([^`\n]+)`|\[([^\]\n]+)\]\((https?://[^\s()<>\"]+)\)|\*\*([^*\n]+)\*\*|(https?://[^\s()<>\"`]*[^\s()<>\"`.,;:])"
)
_INDENT = "    "


def as_html(prose: str) -> Markup:
    r"""Returns Markdown as HTML that is safe whatever it says.

    Args:
        prose: headings become `h3` and below; blocks indented by four blanks are code.

    >>> print(as_html("See `x<y>`:\n\n- one\n  more\n- two"))
    <p>See <code>x&lt;y&gt;</code>:</p>
    <ul><li>one more</li><li>two</li></ul>
    """
    from markupsafe import Markup

    return Markup("\n".join(_blocks(prose)))  # noqa: S704 # every text in it is escaped


def _blocks(prose: str) -> Iterator[str]:
    for is_blank, lines in groupby(prose.splitlines(), key=lambda line: not line.strip()):
        if not is_blank:
            yield from _block(list(lines))


def _block(lines: list[str]) -> Iterator[str]:
    """Yields the elements of lines between two blank ones."""
    if all(line.startswith(_INDENT) for line in lines):
        code = "\n".join(line.removeprefix(_INDENT) for line in lines)
        yield f'<pre tabindex="0"><code>{escape(code)}</code></pre>'
        return
    items: list[str] = []
    words: list[str] = []
    for line in lines:
        heading = _HEADING.fullmatch(line)
        if heading or _ITEM.match(line):
            yield from _paragraph(words)
            words = []
        if heading:
            yield from _list(items)
            items = []
            level = min(6, len(heading[1]) + 2)
            yield f"<h{level}>{_spans(heading[2])}</h{level}>"
        elif _ITEM.match(line):
            items.append(_ITEM.sub("", line, count=1))
        elif items:
            items[-1] += f" {line.strip()}"
        else:
            words.append(line.strip())
    yield from _paragraph(words)
    yield from _list(items)


def _paragraph(words: list[str]) -> Iterator[str]:
    if words:
        yield f"<p>{_spans(' '.join(words))}</p>"


def _list(items: list[str]) -> Iterator[str]:
    if items:
        yield f"<ul>{''.join(f'<li>{_spans(item)}</li>' for item in items)}</ul>"


def _spans(text: str) -> str:
    """Returns the text of a block, escaped, with code and links."""
    parts, at = [], 0
    for found in _SPAN.finditer(text):
        code, words, target, strong, bare = found.groups()
        parts.append(escape(text[at : found.start()]))
        if code:
            parts.append(f"<code>{escape(code)}</code>")
        elif strong:
            parts.append(f"<strong>{escape(strong)}</strong>")
        else:
            parts.append(f'<a href="{escape(target or bare)}" rel="noopener">{escape(words or bare)}</a>')
        at = found.end()
    return "".join([*parts, escape(text[at:])])
