"""What the keeper of the rate says, as metrics. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample


def samples(snapshot: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the samples of a `Keeper.snapshot`."""
    yield Sample(metric.RATE_FAILURES, (), snapshot["failures"])
    yield Sample(metric.RATE_HELD, (), int(snapshot["held"] is not None))
    if snapshot["age_days"] is not None:
        yield Sample(metric.RATE_AGE, (), snapshot["age_days"])
