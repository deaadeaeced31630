"""Search in the captions of built sets, by words and by meaning: `search` finds, `make_index` indexes."""

from .catalogue import OVERLAPS, Entry, Filters
from .find import Found, Hit, counts, search
from .store import WAYS, IndexReport, make_index, ways

__all__ = ["OVERLAPS", "WAYS", "Entry", "Filters", "Found", "Hit", "IndexReport", "counts", "make_index", "search", "ways"]
