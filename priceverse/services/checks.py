"""How each part of the instance is found to be: what was seen of it → up or down, and one line for people. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from priceverse.clock import iso_ms
from priceverse.model.rate import Rate
from priceverse.pricing.convert import RateFault, Rates
from priceverse.rpc.errors import CallError
from priceverse.rpc.method import Reply
from priceverse.rpc.ports import Quote
from priceverse.services.quotes import age_ms


class Check(Reply, frozen=True, kw_only=True):
    """One part's state. `latency` is ms of the question that was asked of it."""

    status: Literal["up", "down"]
    latency: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What counts as old."""

    now_ms: int
    max_price_age_ms: int
    max_rate_age_days: int


def ping(seen: float | CallError) -> Check:
    """Judge a store by the seconds its round trip took."""
    if isinstance(seen, CallError):
        return _down(seen.message)
    return Check(status="up", latency=round(seen * 1000, 3))


def history(reports: Mapping[str, Mapping[str, Any]] | CallError) -> Check:
    """Judge the writing of history by what the aggregators reported: a disk that is full is found by who writes."""
    if isinstance(reports, CallError):
        return _down(f"unknown: {reports.message}")
    faults = {name: report["history_fault"] for name, report in sorted(reports.items()) if report.get("history_fault")}
    if faults:
        return _down("; ".join(f"{name}: {fault}" for name, fault in faults.items()))
    return _up("") if reports else _down("no aggregator reports")


def exchange(reports: Mapping[str, Mapping[str, Any]] | CallError, name: str, now_ms: int) -> Check:
    """Judge a venue by what its collector reported."""
    if isinstance(reports, CallError):
        return _down(f"unknown: {reports.message}")
    report = reports.get(name)
    if report is None:
        return _down("its collector does not report")
    last_ms = report.get("last_trade_ms")
    last = f"last trade {_ago(now_ms - last_ms)}" if isinstance(last_ms, int) else "no trade yet"
    told = "; ".join((last, *_missing(report)))
    if report.get("connected") is True:
        return _up(told)
    return _down(f"{report.get('error_code', '')} {report.get('error') or 'not connected'}; {told}".lstrip())


def price(quote: Quote | None, bounds: Bounds) -> Check:
    """Judge a pair by the age of its live price."""
    if quote is None:
        return _down("no price yet")
    age = age_ms(quote, bounds.now_ms)
    if age > bounds.max_price_age_ms:
        return _down(f"stale: newest trade {_ago(age)}")
    return _up(f"newest trade {_ago(age)}, {len(quote.sources)} sources{', degraded' if quote.degraded else ''}")


def rate(seen: tuple[Rate, ...] | CallError, bounds: Bounds) -> Check:
    """Judge the currency rate by the day it is for."""
    if isinstance(seen, CallError):
        return _down(f"unknown: {seen.message}")
    found = Rates(seen, bounds.max_rate_age_days).in_force(bounds.now_ms)
    if isinstance(found, RateFault):
        newest = f": the newest is of {seen[-1].date.isoformat()}" if seen else ""
        return _down(f"{'missing' if found is RateFault.MISSING else 'stale'}{newest}")
    return _up(f"of {found.date.isoformat()}, read {_ago(bounds.now_ms - found.fetched_ms)}")


def supervisor(*, stopping: bool) -> Check:
    """Judge the supervisor's hold on this process: it says when to stop, or is gone, which is the same to us."""
    return _down("this handler is leaving") if stopping else _up("")


def _missing(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a venue lacks: symbols it does not serve, holes that are being filled, what is lost for good."""
    if report.get("refused"):
        yield f"refused: {', '.join(report['refused'])}"
    if report.get("unanswered"):
        yield f"no answer for: {', '.join(report['unanswered'])}"
    if report.get("gaps_open"):
        yield f"holes being filled: {report['gaps_open']}"
    if report.get("lost"):
        newest = report["lost"][-1]
        span = f"{iso_ms(newest['from_ms'])} to {iso_ms(newest['to_ms'])}"
        yield f"losses: {report['lost_total']}, the last of {newest['pair']} from {span} ({newest['reason']})"


def _up(message: str) -> Check:
    return Check(status="up", message=message)


def _down(message: str) -> Check:
    return Check(status="down", message=message)


def _ago(age: int) -> str:
    return f"{max(0, age) / 1000:.1f} s ago"
