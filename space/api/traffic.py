"""Counts and times of requests by route, for Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """What was asked of this process since it began. Routes are templates, so that their number is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums_s: Counter[str] = Counter()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Notes one request; `seconds` until its answer began."""
        with self._lock:
            self._counts[method if method in _METHODS else "other", route, status] += 1
            self._times.setdefault(route, [0] * (len(BOUNDS_S) + 1))[bisect_left(BOUNDS_S, seconds)] += 1
            self._sums_s[route] += seconds  # type: ignore[assignment] # a Counter adds floats as well

    def lines(self) -> Iterator[str]:
        """Yields them in Prometheus' text format."""
        with self._lock:
            counts, times = dict(self._counts), {route: list(found) for route, found in self._times.items()}
            sums_s = dict(self._sums_s)
        yield "# TYPE uac_http_requests_total counter"
        for (method, route, status), n in sorted(counts.items()):
            yield f'uac_http_requests_total{{method="{method}",route="{route}",status="{status}"}} {n}'
        yield "# TYPE uac_http_request_seconds histogram"
        for route, found in sorted(times.items()):
            total = 0
            for bound, n in zip((*map(str, BOUNDS_S), "+Inf"), found, strict=True):
                total += n
                yield f'uac_http_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'uac_http_request_seconds_sum{{route="{route}"}} {sums_s[route]:.6f}'
            yield f'uac_http_request_seconds_count{{route="{route}"}} {total}'
