"""The price of a pair right now, or why there is none: live in this process, else as Redis has it, else from history.

The rule: age is always checked. A price older than the policy allows is never served as current; it is shown only in
the details of the error that refuses it.
"""

from collections.abc import Sequence

from priceverse.clock import iso_ms
from priceverse.model.price import Price
from priceverse.pricing.convert import RateFault, Rates
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Ports, Quote


def quote_of(price: Price) -> Quote:
    """Return a live price as clients get it."""
    return Quote(price.pair, price.price, price.as_of_ms, price.sources, price.confidence_bps, price.degraded)


def age_ms(quote: Quote, now_ms: int) -> int:
    """Return how old the newest trade in a price is; never negative, though an exchange's clock may be ahead."""
    return max(0, now_ms - quote.as_of_ms)


def check_pair(pair: str, ports: Ports) -> None:
    """Refuse a pair that cannot be asked for. Raises CallError INVALID_PAIR or PAIR_NOT_FOUND."""
    if pair in ports.pairs.listed:
        return
    details: dict[str, object] = {"pair": pair, "availablePairs": list(ports.pairs.listed)}
    if pair in ports.pairs.known:
        raise CallError(Code.PAIR_NOT_FOUND, f"Pair not offered here: {pair}", details)
    raise CallError(Code.INVALID_PAIR, f"Unknown pair: {pair[:64]}", details)


async def current(pair: str, ports: Ports) -> Quote:
    """Return the newest price of a pair. Raises CallError with the code that says why it cannot be served."""
    check_pair(pair, ports)
    live = ports.live.get(pair)
    if live is not None and _fresh(quote := quote_of(live), ports):
        return quote
    found, faults = await _elsewhere(pair, ports)
    if live is not None:
        found.append(quote_of(live))
    newest = max(found, key=lambda quote: quote.as_of_ms, default=None)
    if newest is not None and _fresh(newest, ports):
        return newest
    raise await _refusal(pair, newest, faults, ports)


def _fresh(quote: Quote, ports: Ports) -> bool:
    return age_ms(quote, ports.now_ms()) <= ports.policy.max_price_age_ms


async def _elsewhere(pair: str, ports: Ports) -> tuple[list[Quote], list[CallError]]:
    """Ask Redis, then PostgreSQL if Redis had nothing fresh; return what was found and which of them failed."""
    found: list[Quote] = []
    faults: list[CallError] = []
    try:
        shared = await ports.shared.price(pair)
        found += [quote_of(shared)] if shared else []
    except CallError as fault:
        faults.append(fault)
    if not any(_fresh(quote, ports) for quote in found):
        try:
            stored = await ports.history.latest(pair)
            found += [stored] if stored else []
        except CallError as fault:
            faults.append(fault)
    return found, faults


async def _refusal(pair: str, newest: Quote | None, faults: Sequence[CallError], ports: Ports) -> CallError:
    details: dict[str, object] = {"pair": pair}
    if newest is not None:
        now_ms = ports.now_ms()
        details |= {
            "lastPrice": newest.price,
            "asOf": iso_ms(newest.as_of_ms),
            "ageMs": age_ms(newest, now_ms),
            "maxAgeMs": ports.policy.max_price_age_ms,
        }
    if down := await _disconnected(ports):
        details["exchanges"] = down
    if pair in ports.pairs.derived and (reason := await _rate_fault(ports)) is not None:
        return CallError(Code.PRICE_STALE, f"Price is stale for pair {pair}: {reason}", {**details, "reason": reason})
    if newest is not None:
        return CallError(Code.PRICE_STALE, f"Price is stale for pair: {pair}", details)
    if faults:
        return CallError(faults[0].code, faults[0].message, details)
    return CallError(Code.PRICE_UNAVAILABLE, f"Price not available for pair: {pair}", details)


async def _disconnected(ports: Ports) -> dict[str, str]:
    """Return the code of each exchange that is not heard now; none where that cannot be read."""
    try:
        reports = await ports.shared.collectors()
    except CallError:
        return {}
    seen = {name: reports.get(name, {}) for name in ports.exchanges}
    down = {name: report for name, report in seen.items() if report.get("connected") is not True}
    return {name: report.get("error_code") or Code.EXCHANGE_DISCONNECTED for name, report in down.items()}


async def _rate_fault(ports: Ports) -> RateFault | None:
    """Return what is wrong with the currency rate; nothing if it is good or cannot be read."""
    try:
        known = await ports.shared.rates()
    except CallError:
        return None
    rate = Rates(known, ports.policy.max_rate_age_days).in_force(ports.now_ms())
    return rate if isinstance(rate, RateFault) else None
