"""How busy this handler is: for the supervisor that sizes the pool, and for the metrics. Pure: times come from outside.

The rule: it is asked for every call, so a call costs it a few additions; what they mean is worked out for the report.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping

from priceverse.metrics import catalogue
from priceverse.metrics.metric import Sample
from priceverse.rpc.envelope import Done, Outcome
from priceverse.rpc.errors import Code

SAMPLES = 1000
GOOD = "ok"
OTHER = "other"
"""Stands for what is no method of ours: a client's own words must not become labels."""

_BUCKETS = catalogue.REQUEST.buckets


class Meter:
    """Sums since the start and the latest latencies."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._spans_s: dict[str, list[float]] = {}
        self._latencies_s: deque[float] = deque(maxlen=SAMPLES)

    def observe(self, method: str, outcome: Outcome, took_s: float) -> None:
        """Note a call."""
        code: str = GOOD
        if not isinstance(outcome, Done):
            code = outcome.code
            if code == Code.NOT_FOUND or not method:
                method = OTHER
        key = method, code
        counts = self._counts
        counts[key] = counts.get(key, 0) + 1
        spans = self._spans_s.get(method)
        if spans is None:
            spans = self._spans_s[method] = catalogue.REQUEST.zero()
        spans[bisect_left(_BUCKETS, took_s)] += 1
        spans[-1] += took_s
        self._latencies_s.append(took_s)

    def stats(self) -> Mapping[str, float]:
        """Return the sums, and mean and 99th percentile of the latest thousand calls.

        Only this process's own fault is an error: another handler would refuse the rest as well.
        """
        errors = sum(n for (_, code), n in self._counts.items() if code == Code.INTERNAL)
        sums: dict[str, float] = {"requests": sum(self._counts.values()), "errors": errors}
        if self._latencies_s:
            ordered = sorted(self._latencies_s)
            sums["latency_mean_s"] = round(sum(ordered) / len(ordered), 6)
            sums["latency_p99_s"] = round(ordered[int(len(ordered) * 0.99)], 6)
        return sums

    def samples(self) -> Iterator[Sample]:
        """Yield calls by method and code, and how long they took: a `Watch`."""
        for (method, code), n in self._counts.items():
            yield Sample(catalogue.REQUESTS, (method, code), n)
            if code == Code.TOO_MANY_REQUESTS:
                yield Sample(catalogue.LIMITED, (method,), n)
        for method, spans in self._spans_s.items():
            yield Sample(catalogue.REQUEST, (method,), list(spans))
