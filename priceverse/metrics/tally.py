"""What one process has counted since it began: the child's side. The functions go to the process's own `Tally`.

    from priceverse.metrics import catalogue, tally
    tally.count(catalogue.PUBLISHED, len(prices))

The rule: everything happens in the trio thread, and costs a dictionary's update.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from priceverse.metrics.metric import Labels, Metric, Sample, Value, packed

Watch = Callable[[], Iterable[Sample]]


class Tally:
    """Sums, observations and gauges, and those that are asked for what they know when a report is due."""

    def __init__(self) -> None:
        self._values: dict[tuple[Metric, Labels], Value] = {}
        self._watched: list[Watch] = []

    def count(self, metric: Metric, n: float = 1, *labels: str) -> None:
        """Add to a counter."""
        key = metric, labels
        self._values[key] = self._values.get(key, 0) + n  # type: ignore[operator] # a counter's value is a number

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        key = metric, labels
        seen = self._values.get(key)
        if not isinstance(seen, list):
            seen = self._values[key] = metric.zero()
        seen[metric.bucket(value)] += 1
        seen[-1] += value

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Set what is true now."""
        self._values[metric, labels] = value

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Ask `watch` for samples with each report, as long as the block lasts."""
        self.watch(watch)
        try:
            yield
        finally:
            self.unwatch(watch)

    def watch(self, watch: Watch) -> None:
        """Ask `watch` for samples with each report; of equal ones numbers add up."""
        self._watched.append(watch)

    def unwatch(self, watch: Watch) -> None:
        """Ask no more; of who was never asked nothing changes."""
        with suppress(ValueError):
            self._watched.remove(watch)

    def report(self) -> dict[str, Any]:
        """Return everything as a beat carries it."""
        found = dict(self._values)
        for watch in self._watched:
            for sample in watch():
                found[sample.metric, sample.labels] = _together(found.get((sample.metric, sample.labels)), sample.value)
        return {"metrics": packed(found)}


def _together(before: Value | None, value: Value) -> Value:
    return before + value if isinstance(before, int | float) and isinstance(value, int | float) else value


OWN = Tally()
"""This process's."""

count, observe, gauge = OWN.count, OWN.observe, OWN.gauge
watch, unwatch, watching = OWN.watch, OWN.unwatch, OWN.watching
