"""Samples → OpenMetrics text. Pure.

The rule: every declared metric of the catalogue has its family, with or without samples, so that whoever looks at the
page sees what there is to be seen.
"""

from collections.abc import Iterable, Iterator

from priceverse.metrics.metric import Kind, Metric, Sample

UNITS = frozenset({"seconds", "bytes"})
"""What a name may end in to say what its numbers are."""

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(metrics: Iterable[Metric], samples: Iterable[Sample]) -> bytes:
    """Return the page: the families in the order of `metrics`, the samples of each by their labels."""
    by_metric: dict[Metric, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric, []).append(sample)
    lines = [line for metric in metrics for line in _family(metric, by_metric.get(metric, []))]
    return "\n".join([*lines, "# EOF", ""]).encode()


def _family(metric: Metric, samples: list[Sample]) -> Iterator[str]:
    yield f"# TYPE {metric.full_name} {metric.kind}"
    unit = metric.full_name.rpartition("_")[2]
    if unit in UNITS:
        yield f"# UNIT {metric.full_name} {unit}"
    yield f"# HELP {metric.full_name} {_escaped(metric.help)}"
    for sample in sorted(samples, key=lambda sample: sample.labels):
        yield from _lines(sample)


def _lines(sample: Sample) -> Iterator[str]:
    metric, value = sample.metric, sample.value
    pairs = [f'{name}="{_escaped(label)}"' for name, label in zip(metric.label_names, sample.labels, strict=True)]
    if isinstance(value, list):
        yield from _histogram(metric, pairs, value)
    else:
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(metric.kind, "")
        yield f"{metric.full_name}{suffix}{_braced(pairs)} {_number(value)}"


def _histogram(metric: Metric, pairs: list[str], value: list[float]) -> Iterator[str]:
    *counts, total = value
    running = 0.0
    for bound, count in zip((*map(_number, map(float, metric.buckets)), "+Inf"), counts, strict=True):
        running += count
        limit = f'le="{bound}"'
        yield f"{metric.full_name}_bucket{_braced([*pairs, limit])} {_number(running)}"
    yield f"{metric.full_name}_count{_braced(pairs)} {_number(running)}"
    yield f"{metric.full_name}_sum{_braced(pairs)} {_number(total)}"


def _braced(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    """Whole numbers of counts as such; bounds are floats and keep their point, as OpenMetrics wants them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return repr(value)
