"""The instance's sums: what every process of it ever reported, alive or dead. The root's side. Pure.

Counters and histograms of equal labels become one, over processes and over the incarnations of each; gauges are those
of the living. The rule: what has been counted stays counted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from priceverse.metrics.metric import Labels, Metric, Sample, Value

Key = tuple[Metric, Labels]


@dataclass(slots=True)
class _Incarnation:
    """What one process has reported last."""

    pid: int
    sums: dict[Key, Value] = field(default_factory=dict)
    gauges: dict[Key, Value] = field(default_factory=dict)


class Merge:
    """Reports in, samples out."""

    def __init__(self) -> None:
        self._totals: dict[Key, Value] = {}
        self._living: dict[str, _Incarnation] = {}

    def hear(self, child: str, pid: int, samples: Iterable[Sample]) -> None:
        """Take a child's report; sums count by what they grew since the last report of the same process."""
        known = self._living.get(child)
        if known is None or known.pid != pid:
            known = self._living[child] = _Incarnation(pid)
        known.gauges = {}
        for sample in samples:
            key = (sample.metric, (*sample.labels, child) if sample.metric.by_child else sample.labels)
            if sample.metric.is_sum:
                grown = _less(sample.value, known.sums.get(key))
                self._totals[key] = _plus(self._totals.get(key), grown)
                known.sums[key] = sample.value
            else:
                known.gauges[key] = sample.value

    def gone(self, child: str) -> None:
        """Forget what was true of a child that has ended; what it counted stays."""
        self._living.pop(child, None)

    def samples(self) -> Iterator[Sample]:
        """Yield every value; of a gauge that two children report, the one heard of last."""
        merged = dict(self._totals)
        for incarnation in self._living.values():
            merged.update(incarnation.gauges)
        for (metric, labels), value in merged.items():
            yield Sample(metric, labels, value)


def totals(samples: Iterable[Sample]) -> Mapping[Metric, float]:
    """Return the sum of each metric over all labels; of a histogram, of its observations."""
    found: dict[Metric, float] = {}
    for sample in samples:
        value = sample.value
        found[sample.metric] = found.get(sample.metric, 0) + (sum(value[:-1]) if isinstance(value, list) else value)
    return found


def _less(now: Value, before: Value | None) -> Value:
    """Return how much a sum has grown; one that went back is of a process that began anew."""
    if isinstance(now, list):
        return [_grown(each, past) for each, past in zip(now, _list(before, len(now)), strict=True)]
    return _grown(now, before if isinstance(before, int | float) else 0)


def _grown(now: float, before: float) -> float:
    return now - before if now >= before else now


def _plus(before: Value | None, grown: Value) -> Value:
    if isinstance(grown, list):
        return [past + each for past, each in zip(_list(before, len(grown)), grown, strict=True)]
    return (before if isinstance(before, int | float) else 0) + grown


def _list(value: Value | None, length: int) -> Sequence[float]:
    return value if isinstance(value, list) else [0] * length
