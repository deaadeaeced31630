"""How often one may ask: a bucket of tokens per account, or per address where nobody is signed in."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..dataset_scripts.errors import LimitError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

KEPT = 10_000


class RateLimits:
    """Buckets that hold a minute's worth of requests and fill up steadily.

    Memory is bounded: of more than `KEPT` askers those that were silent longest are forgotten, which gives them a full bucket.

    Args:
        per_minute: requests that one asker may make.
        now: the clock, in seconds.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._now = max(1, per_minute), now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> None:
        """Counts one request.

        Raises:
            LimitError: there were too many; it says when to come back.
        """
        now, rate = self._now(), self._per_minute / 60
        with self._lock:
            left, since = self._buckets.pop(who, (float(self._per_minute), now))
            left = min(float(self._per_minute), left + max(0.0, now - since) * rate)
            self._buckets[who] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > KEPT:
                self._buckets.popitem(last=False)
        if left < 1:
            wait_s = (1 - left) / rate
            raise LimitError(
                f"more than {self._per_minute:,} requests within a minute; come back in {wait_s:.1f} seconds.", wait_s
            )


def address_of(request: HTTPConnection, trusted_proxy: bool) -> str:
    """Returns from where a request comes, as one asker is counted: an IPv4 address or an IPv6 network of 64 bits.

    Args:
        request: the request.
        trusted_proxy: whether the last entry of X-Forwarded-For was written by a proxy of ours; anybody can write the others.
    """
    text = request.client.host if request.client else ""
    if trusted_proxy and (told := request.headers.get("x-forwarded-for")):
        text = told.rpartition(",")[2].strip()
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text[:100]
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
