"""What a metric is: a name, a kind, the labels that tell its samples apart, and how it travels. Pure.

The rule: values are sums since the process began (counters, histograms) or what is true now (gauges); who hears them
takes differences.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PREFIX = "priceverse_"

Labels = tuple[str, ...]


class Kind(StrEnum):
    """OpenMetrics' types, as far as they are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One declared metric. There is one object of each: they are told apart by identity, which is fast.

    `by_child` adds the label `child`, where values of two processes must not become one.
    `buckets` are the upper bounds of a histogram; above the last there is always one without bound.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    by_child: bool = False
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """The name of the family: without the `_total` that OpenMetrics adds to the samples of a counter."""
        return PREFIX + self.name

    @property
    def label_names(self) -> Labels:
        """The labels as exposed."""
        return (*self.labels, "child") if self.by_child else self.labels

    @property
    def is_sum(self) -> bool:
        """Tell whether values of several processes, dead or alive, add up."""
        return self.kind in {Kind.COUNTER, Kind.HISTOGRAM}

    def bucket(self, value: float) -> int:
        """Return the index of the bucket that a value falls into."""
        return bisect_left(self.buckets, value)

    def zero(self) -> list[float]:
        """Return a histogram without observations: counts by bucket, then their sum."""
        return [0] * (len(self.buckets) + 1) + [0.0]


Value = float | list[float]
"""A number; of a histogram the counts by bucket (not cumulative, the last is the one without bound), then the sum."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric."""

    metric: Metric
    labels: Labels
    value: Value


def packed(samples: Mapping[tuple[Metric, Labels], Value]) -> list[list[Any]]:
    """Return samples as JSON values: name, labels, value."""
    return [[metric.name, list(labels), value] for (metric, labels), value in samples.items()]


def unpacked(words: object, known: Mapping[str, Metric], *, merged: bool = False) -> list[Sample]:
    """Read what `packed` wrote; what is not known here is left out: a child may be older or newer than the root.

    `merged` samples are the root's: those told apart by child say which.
    """
    found = []
    for word in words if isinstance(words, list) else ():
        match word:
            case [str(name), list(labels), value] if (metric := known.get(name)) and _fits(
                metric, labels, value, merged=merged
            ):
                found.append(Sample(metric, tuple(map(str, labels)), value))
            case _:
                pass
    return found


def _fits(metric: Metric, labels: list[Any], value: object, *, merged: bool) -> bool:
    if len(labels) != len(metric.label_names if merged else metric.labels):
        return False
    if metric.kind is Kind.HISTOGRAM:
        return isinstance(value, list) and len(value) == len(metric.zero()) and all(map(_is_number, value))
    return _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
