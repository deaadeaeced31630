r"""Penn Treebank words of a caption: what the Stanford tokenizer 3.4.1 leaves of it in the COCO caption evaluation.

Metrics of n-grams are defined on these words, so the tokenizer is part of their definition. The Java program is a lexer: at
each place the rule that matches most characters wins, the earlier one on a tie. So is this, with the rules that
captions can meet, written from the program's behaviour. Its output is lower-cased and loses the punctuation of `PUNCTUATION`.

Deliberate differences: any line break (`\n`, `\r`, U+2028, `\x0b`, `\x85`, …) is white space, where it makes the original
lose or shift captions; a token never holds a space (the original keeps "2 1/2" and "(650) 555-1234" together by U+00A0,
which the metrics' own splitting undoes); letters that Unicode received after 2012 are letters; nothing depends on the text
of the next line. Of 504,521 texts from AudioCaps, Clotho, SoundBible, MECAT and FENSE, 7 come out otherwise than there.

Known differences in what hardly anybody writes, 0.5 % of texts that are glued together at random. The original

- keeps a period in front of a comma, colon or semicolon: "rain., then" has the word "rain.";
- takes it from a single letter before a capital word that opens a sentence: "plan B. The dog" has the word "b";
- keeps together what stands behind "'tis" and "'twas" without a space: "'tis-two" is "'t is-two";
- cuts differently around a hyphen beside a script with marks of its own, such as Devanagari, around an address behind a slash
  ("/x@y.org", "siren/www.example.com") or beside an ideographic space, at "cannot'x", and reads "&AMP;" like "&amp;".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

TOKENIZER = "ptb3-1"
"""Name and version for signatures; the version is raised when any caption's words change."""

# what the COCO caption evaluation throws away; brackets stay (they are lower case by then), and so does "!!"
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])


def tokenize(sentences: Iterable[str]) -> list[str]:
    """Returns each sentence's words, lower case, one space apart; an empty text for a sentence without words.

    >>> tokenize(["A man's dog -- barks, (loudly).", "It can't be 3 p.m."])
    ["a man 's dog barks -lrb- loudly -rrb-", "it ca n't be 3 p.m."]
    """
    words_of = _ChunkWords()
    return [_sentence_words(sentence, words_of) for sentence in sentences]


class _ChunkWords(dict[str, str]):
    """The words of each chunk between white space, found once: captions repeat few chunks."""

    def __missing__(self, chunk: str) -> str:
        if chunk.isalpha() and chunk.isascii() and chunk.lower() not in _SPLIT_WORDS:
            words = chunk.lower()
        else:
            words = " ".join(_lex(chunk))
        self[chunk] = words
        return words


def _sentence_words(sentence: str, words_of: _ChunkWords) -> str:
    if not sentence.isascii():
        sentence = _not_lexed().sub(" ", sentence.replace("\u00ad", ""))
    if _SPANS_CHUNKS.search(sentence):
        return " ".join(_lex(" ".join(sentence.split())))
    return " ".join([words for words in map(words_of.__getitem__, sentence.split()) if words])


# markup may hold spaces, and a numbering abbreviation keeps its period only in front of a number
_SPANS_CHUNKS = re.compile(r"<|\b(?:nos?|op|pp?|art|figs?|ca)\. [0-9]", re.IGNORECASE)

_SPLIT_WORDS = frozenset(["cannot", "gonna", "gotta", "lemme", "gimme", "wanna"])


def _lex(text: str) -> list[str]:
    """Returns the words of `text` by the longest match at each place; what no rule matches is dropped."""
    text += " "  # rules look ahead: the end is white space to them
    rules = _rules()
    words: list[str] = []
    position = 0
    while position < len(text):
        best = None
        for rule in rules:
            match = rule.match(text, position)
            if match and (best is None or match.end() > best.end()):
                best = match
        if best is None or best.lastindex is None:
            position += 1
            continue
        words.extend(word for word in map(_normalized, best.groups()) if word and word not in PUNCTUATION)
        position = best.end(best.lastindex)
    return words


# tokens that are written otherwise as a whole
_WRITTEN_AS = (
    {"[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "&lt;": "<", "&gt;": ">", "&nbsp;": ""}
    | {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
    | {"¢": "cents", "£": "#", "¤": "$", "€": "$", "₠": "$"}
    | dict.fromkeys(["\u201c", "\u201d", "\u00ab", "\u00bb", '"', "&quot;"], "''")
    | dict.fromkeys(["\u2018", "\u2019", "\u201b", "\u2039", "\u203a", "&apos;"], "'")
    | dict.fromkeys(["\u2013", "\u2014", "\u2015", "&md;", "&mdash;", "&ndash;"], "--")
    | {"\u2026": "..."}
)


def _normalized(word: str) -> str:
    word = word.lower()
    if word in _WRITTEN_AS:
        return _WRITTEN_AS[word]
    if not word.strip("-"):
        return "-" if word == "-" else "--"
    word = word.replace("&amp;", "&")
    if _CONTRACTION.fullmatch(word):
        return word.replace("&apos;", "'").translate(_PLAIN_QUOTES)
    return word.replace("(", "-lrb-").replace(")", "-rrb-")


_APOSTROPHES = "'\u2019"
_APOSTROPHES_LIKE = _APOSTROPHES + "`\u2018\u201b"
_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201b", "`'`")
_CONTRACTION = re.compile(rf"n(?:&apos;|['\u2018\u2019\u201b])t|(?:&apos;|[{_APOSTROPHES}])(?:[msd]|re|ve|ll)")

# abbreviations that keep their period; some only with a capital, being words otherwise ("miss.", "wash.", "ill.")
_ABBREVIATIONS = (
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|"
    "ala|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt|wisc?|wyo|"
    "mr|mrs|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt|mt|capt|ste?|ave|pres|lieut|hon|"
    "brig|co?mdr|pfc|spc|supts?|det|jr|sr|bros|(?:ed|ph)\\.d|blvd|rd|esq|"
    "inc|cos?|corp|pp?t[ye]s?|ltd|plc|bancorp|dept|bhd|assn|univ|intl|sys|ph|tel|est|ext|sq|ft|etc|al|seq|bldg|vs|cf"
)
_CAPITAL_ABBREVIATIONS = "Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_FILE_ENDINGS = (
    "bat|bmp|cgi|class|cpp|c|dll|docx?|exe|gif|gz|html?|h|jar|java|jpe?g|mov|mp[34]|pdf|php|pl|png|pptx?|ps|py|sql|tar|txt|"
    "wav|xml|x|zip|wm[va]|avi|flv"
)


@cache
def _rules() -> tuple[re.Pattern[str], ...]:
    """Returns the rules in order. Groups are tokens; what a rule matches behind its last group is looked at, not taken."""
    letter, digit = _letters(), r"\d"
    alnum = f"[{letter}{digit}]"
    letter = f"[{letter}]"
    apos, apos_like = f"(?:&apos;|[{_APOSTROPHES}])", f"(?:&apos;|[{_APOSTROPHES_LIKE}])"
    word = rf"{letter}{alnum}*(?:[.!?]{letter}{alnum}*)*"
    elided = f"(?:[dDoOlL]{apos_like}{letter})?{alnum}+"
    contraction = f"{apos}(?:[msdMSD]|re|ve|ll|RE|VE|LL|Re|Ve|Ll)"
    acronym = r"[A-Za-z](?:\.[A-Za-z])+"
    slashed = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
    host = r"""[^\s"`'<>|.!?(){},\-_$]+\."""
    path = r"""(?:/[^\s"<>|()]+[^\s"<>|.!?(){},\-])?"""
    patterns = [
        # markup, addresses
        r"(<[!?][A-Za-z-][^>]*>)",
        r"""(</?[A-Za-z][A-Za-z0-9_:.-]*(?: +[A-Za-z0-9_:.-]+(?: *= *(?:"[^"'<>]*"|'[^"'<>]*'))?)* */?>)""",
        r"""((?i:https?)://[^\s"<>|()]+[^\s"<>|.!?(){},\-])""",
        rf"""((?i:www)\.(?:[^\s"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}{path})""",
        rf"((?:{host})+(?:com|net|org|edu){path})",
        r"""((?:&lt;|<)?[a-zA-Z0-9][^\s"<>|()]*@(?:[^\s"<>|().]+\.)*[^\s"<>|().]+(?:&gt;|>)?)""",
        r"(@[a-zA-Z_][a-zA-Z_0-9]*)",
        f"(#{letter}+)",
        # abbreviations
        rf"((?i:{_ABBREVIATIONS})\.)",
        rf"((?:{_CAPITAL_ABBREVIATIONS})\.)",
        r"([A-Za-z](?:\.[A-Za-z])*\.)",
        r"((?i:nos?|op|pp?|art|figs?|ca)\.) ?[0-9]",
        # words that are two
        r"(?i)(can)(not)",
        r"(?i)(gon|wan)(na)",
        r"(?i)(got)(ta)",
        r"(?i)(lem|gim)(me)",
        r"(?i)('t)(is|was)",
        # words and their contractions: look ahead beyond the contraction, as nothing shorter may win
        rf"({word}){contraction}[^A-Za-z]",
        rf"({letter}*(?![nN]){letter})[nN]{apos_like}[tT]",
        rf"({contraction})[^A-Za-z]",
        rf"([nN]{apos_like}[tT])",
        f"({word})",
        # words with an apostrophe of their own
        rf"(?i)({apos}n{apos}?|(?:dunkin|somethin|ol){apos}|{apos}em|{apos}[2-9]0s|{apos}till?|{apos}cause)",
        rf"({apos}{digit}{digit})\s",
        r"(['\u2018\u2019])[A-Za-z]\S",  # opens a quotation: keeps 'n and 'em from biting into words
        rf"([A-HJ-XZcn]{apos_like}{letter}{{2,}}|{letter}+[aeiouyAEIOUY]{apos_like}[aeiouA-Z]{letter}*)",
        rf"((?:nor{apos}easter|c{apos}mon|e{apos}er|s{apos}mores|ev{apos}ry|li{apos}l|nat{apos}l|ma{apos}am|o{apos}clock))",
        rf"([yYjJlLdD]{apos}){letter}",
        # numbers, and words built of letters, digits, hyphens, slashes
        rf"([-+]?(?:{digit}*(?:[.:,]{digit}+)+|{digit}+))",
        rf"({digit}{{1,2}}[-/]{digit}{{1,2}}[-/]{digit}{{2,4}})",
        rf"({digit}{{1,4}}\u2044{digit}{{1,4}})",
        rf"({elided}(?:[-_\u058a\u2010\u2011]{elided})*)",
        rf"({slashed}(?:\\?/{slashed}){{1,2}})",
        rf"([A-Za-z0-9][A-Za-z0-9.,]*+(?:-(?:{acronym}\.|[A-Za-z0-9]+))+)",
        r"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)",
        r"([Cc]\+\+|[CcFf]#)",
        rf"({alnum}+(?:\.{alnum}+)*\.(?i:{_FILE_ENDINGS}))[^A-Za-z0-9]",
        # faces
        r"([<>]?[:;=]['\"]?[-o*']?[()DPdpO\\@|\[\]{])[^A-Za-z0-9]",
        r"(\^_\^|-_-)",
        # signs, alone or in runs
        r"([A-Z]*\$)",
        r"(&(?:lt|gt|LT|GT|quot|apos|amp|nbsp|MD|mdash|ndash|[aeiouAEIOU](?:acute|grave|uml)|#[0-9]+);)",
        r"([?!]+)",
        r"(-+)",
        r"(_+|\*+|@+|\#+)",
        r"(''|``|<<|>>|\.\.\.)",
        rf"([^\s{_letters()}\d])",
    ]
    return tuple(re.compile(pattern) for pattern in patterns)


# signs that are words of their own; other signs and everything outside the basic plane (most emoji) separate words
_SIGNS = (
    "\u00a1-\u00a9\u00ab\u00ac\u00ae-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u037e\u0387\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4"
    "\u0600-\u0603\u0606-\u060c\u0614\u061b\u061e\u061f\u066a\u066d\u06d4\u0700-\u070d\u07f6-\u07f8\u0964\u0965\u0e3f\u0e4f"
    "\u2010\u2011\u2013-\u203a\u203b\u203e-\u2042\u2044\u2070\u2074-\u207e\u2080-\u208e\u20a0\u20a4\u20ac\u2100\u2101\u2103-\u2106"
    "\u2108\u2109\u2114\u2116-\u2118\u211e-\u2123\u2125\u2127\u2129\u212e\u213a\u213b\u2140-\u2144\u214a-\u214d\u214f\u2153-\u215e"
    "\u2190-\u2bff\u3001\u3002\u3012\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0\uffe1\uffe5\uffe6"
)


@cache
def _not_lexed() -> re.Pattern[str]:
    """Returns what separates words: white space of any kind, and every character that no rule knows."""
    return re.compile(rf"[^!-~\d{_letters()}{_SIGNS}]+")


@cache
def _letters() -> str:
    """Returns the letters as ranges for a character class: alphabetic characters of the basic plane, with their marks.

    The marks of the Latin, Greek, Hebrew, Arabic and Indic scripts (up to U+0ECD) and the modifiers before them count; later
    scripts' marks and phonetic signs do not. Found by giving the original every character of the plane between two letters.
    """
    ranges: list[str] = []
    start = None
    for code in range(0x10001):
        is_letter = code < 0x10000 and _is_letter(chr(code))
        if is_letter and start is None:
            start = code
        elif not is_letter and start is not None:
            ranges.append(f"\\u{start:04x}-\\u{code - 1:04x}")
            start = None
    return "".join(ranges)


def _is_letter(character: str) -> bool:
    if character.isalpha():
        return True
    if "\u02c2" <= character <= "\u036f":
        return True
    return "\u0483" <= character <= "\u0ecd" and unicodedata.category(character) in ("Mn", "Mc")
