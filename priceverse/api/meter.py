"""How busy this handler is: for the supervisor that sizes the pool, and for the metrics. Times come from outside."""

from collections import deque
from collections.abc import Mapping

from priceverse.metrics import catalogue, tally
from priceverse.rpc.envelope import Done, Outcome
from priceverse.rpc.errors import Code

SAMPLES = 1000
OTHER = "other"
"""Stands for what is no method of ours: a client's own words must not become labels."""


class Meter:
    """Sums since the start and the latest latencies."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self._latencies_s: deque[float] = deque(maxlen=SAMPLES)

    def observe(self, method: str, outcome: Outcome, took_s: float) -> None:
        """Note a call. Only this process's own fault is an error: another handler would refuse the rest as well."""
        self.requests += 1
        code = "ok" if isinstance(outcome, Done) else outcome.code
        if code is Code.NOT_FOUND or not method:
            method = OTHER
        elif code is Code.TOO_MANY_REQUESTS:
            tally.count(catalogue.LIMITED, 1, method)
        elif code is Code.INTERNAL:
            self.errors += 1
        tally.count(catalogue.REQUESTS, 1, method, code)
        tally.observe(catalogue.REQUEST, took_s, method)
        self._latencies_s.append(took_s)

    def stats(self) -> Mapping[str, float]:
        """Return the sums, and mean and 99th percentile of the latest thousand calls."""
        sums: dict[str, float] = {"requests": self.requests, "errors": self.errors}
        if self._latencies_s:
            ordered = sorted(self._latencies_s)
            sums["latency_mean_s"] = round(sum(ordered) / len(ordered), 6)
            sums["latency_p99_s"] = round(ordered[int(len(ordered) * 0.99)], 6)
        return sums
