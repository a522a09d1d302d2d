"""What is wrong right now, as the instance's metrics show it. Pure.

A rule finds subjects (an exchange, a pair, a child) and says in one line what is wrong with each. The rule of the
rules: they read what Prometheus reads, so both tell the same.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from priceverse.config.settings import Settings
from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Labels, Metric, Sample


class Figures:
    """Samples, looked up by metric."""

    def __init__(self, samples: Sequence[Sample], now_s: float | None = None) -> None:
        self.now_s = time.time() if now_s is None else now_s
        self._by_metric: dict[Metric, dict[Labels, float]] = {}
        for sample in samples:
            if isinstance(sample.value, int | float):
                self._by_metric.setdefault(sample.metric, {})[sample.labels] = sample.value

    def of(self, each: Metric) -> Mapping[Labels, float]:
        """Return the values of a metric by labels."""
        return self._by_metric.get(each, {})


Findings = Iterator[tuple[str, str]]
"""Subjects, and what is wrong with each."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` must have found a subject for `for_s` before anybody is told, and not found it for `clear_s` again."""

    name: str
    severity: str
    for_s: float
    find: Callable[[Figures], Findings]
    clear_s: float = 60.0


def rules(settings: Settings) -> tuple[Rule, ...]:
    """Return every rule, with the limits of the configuration."""
    chosen = settings.alerts
    return (
        Rule("exchange_down", "warning", chosen.exchange_down_s, _exchange_down(settings)),
        Rule("price_stale", "critical", 60, _price_stale(settings)),
        Rule("sources_below_minimum", "warning", 60, _few_sources(settings)),
        Rule("price_deviation", "warning", 60, _above(metric.DEVIATION, float(chosen.max_deviation), "from the price")),
        Rule("rate_stale", "warning", 60, _rate_stale(settings)),
        Rule("rate_held", "warning", 0, _rate_held),
        Rule("child_fatal", "critical", 0, _child_fatal),
        Rule("history_hole", "critical", 30, _history_hole(settings)),
        Rule("disk_full", "critical", 60, _above(metric.DISK, chosen.disk_ratio, "used")),
        Rule("redis_memory_high", "critical", 60, _above(metric.REDIS_MEMORY, chosen.redis_memory_ratio, "used")),
    )


def _exchange_down(settings: Settings) -> Callable[[Figures], Findings]:
    def find(figures: Figures) -> Findings:
        connected, last = figures.of(metric.CONNECTED), figures.of(metric.LAST_TRADE)
        for exchange in settings.exchanges.enabled:
            if not connected.get((exchange.value,)):
                heard_s = last.get((exchange.value,))
                since = "" if heard_s is None else f", last trade {figures.now_s - heard_s:.0f} s ago"
                yield exchange.value, f"{exchange} is not connected{since}"

    return find


def _price_stale(settings: Settings) -> Callable[[Figures], Findings]:
    limit_s = settings.api.max_price_age_ms / 1000

    def find(figures: Figures) -> Findings:
        ages = figures.of(metric.PRICE_AGE)
        for pair in settings.source_pairs:
            age_s = ages.get((pair,))
            if age_s is None:
                yield pair, f"{pair} has no price"
            elif age_s > limit_s:
                yield pair, f"{pair} is {age_s:.0f} s old, {limit_s:.0f} s are allowed"

    return find


def _few_sources(settings: Settings) -> Callable[[Figures], Findings]:
    def find(figures: Figures) -> Findings:
        for (pair,), sources in figures.of(metric.SOURCES).items():
            venues = len(settings.pairs[pair].symbols) if pair in settings.pairs else 0
            least = min(settings.alerts.min_sources, venues)
            if sources < least:
                yield (pair, f"{pair} is made of {sources:.0f} venues, {least} are wanted")

    return find


def _rate_stale(settings: Settings) -> Callable[[Figures], Findings]:
    limit_days = settings.cbr.max_age_days

    def find(figures: Figures) -> Findings:
        if not any(pair.derived_from for pair in settings.pairs.values() if pair.enabled):
            return
        age_days = figures.of(metric.RATE_AGE).get(())
        if age_days is None:
            yield "usd-rub", "there is no Bank of Russia rate"
        elif age_days > limit_days:
            yield ("usd-rub", f"the Bank of Russia rate is {age_days:.0f} days old, {limit_days} are allowed")

    return find


def _rate_held(figures: Figures) -> Findings:
    if figures.of(metric.RATE_HELD).get(()):
        yield "usd-rub", "the newest Bank of Russia rate has jumped and is held: somebody must look"


def _child_fatal(figures: Figures) -> Findings:
    for child, state in figures.of(metric.CHILD_STATE):
        if state == "fatal":
            yield child, f"{child} has been given up"


def _history_hole(settings: Settings) -> Callable[[Figures], Findings]:
    """Look for pairs that have a price whose history does not go on."""
    limit_s = settings.alerts.history_hole_s

    def find(figures: Figures) -> Findings:
        rows = figures.of(metric.HISTORY_LAST)
        for (pair,), age_s in figures.of(metric.PRICE_AGE).items():
            row_s = rows.get((pair,))
            if (
                age_s < settings.aggregation.window_size / 1000
                and row_s is not None
                and figures.now_s - row_s > limit_s
            ):
                yield (pair, f"the newest row of {pair} is {figures.now_s - row_s:.0f} s old")

    return find


def _above(each: Metric, limit: float, what: str) -> Callable[[Figures], Findings]:
    def find(figures: Figures) -> Findings:
        for labels, value in figures.of(each).items():
            if value > limit:
                subject = labels[0] if labels else "redis"
                yield subject, f"{subject}: {value:.1%} {what}, {limit:.1%} are allowed"

    return find
