"""Everything that can go wrong between a venue and its reader, on demand: which faults hold now, and what they do.

Pure: time and randomness are passed in. The rule: faults act on the way from feed to socket, so the history and the
truth stay whole; only an absurd print and a depeg are made by the market itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from priceverse.model.exchange import Exchange
from priceverse.simulator import captured
from priceverse.simulator.match import NS_PER_MS, NS_PER_S


class Kind(StrEnum):
    """A fault by its name on the control endpoint."""

    DROP = "drop"  # cut every connection now, and again by chance each second
    MUTE = "mute"  # connections stay open, nothing is sent
    ACCEPT_THEN_CLOSE = "accept_then_close"  # complete the handshake, then hang up
    DUPLICATE = "duplicate"  # by chance, send a trade frame twice
    REORDER = "reorder"  # by chance, send a trade frame after the next one
    GAP = "gap"  # by chance, do not send a trade frame
    MALFORMED = "malformed"  # by chance, send rubbish before a trade frame
    WRONG_CLOCK = "wrong_clock"  # trade frames carry times off by `skew_ms`
    SLOW = "slow"  # everything is sent `delay_ms` late
    TOO_MANY_REQUESTS = "429"  # refuse handshakes and REST
    OUTLIER = "outlier"  # by chance, a fill prints at price × `factor` (walk only)
    DEPEG = "depeg"  # USDT is drawn to `peg` dollars (walk only)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: on one venue or on all, until `until_ns`."""

    kind: Kind
    exchange: Exchange | None
    until_ns: int
    probability: float = 0.1
    skew_ms: int = 0
    delay_ms: int = 0
    factor: float = 10.0
    peg: float = 0.95


class Faults:
    """The faults in force."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault begin; it replaces one of the same kind on the same venue."""
        same = (fault.kind, fault.exchange)
        self._faults = [each for each in self._faults if (each.kind, each.exchange) != same] + [fault]

    def clear(self) -> None:
        """End all faults."""
        self._faults.clear()

    def active(self, now_ns: int) -> list[Fault]:
        """Return the faults in force, and forget the others."""
        if self._faults:
            self._faults = [each for each in self._faults if each.until_ns > now_ns]
        return self._faults

    def find(self, kind: Kind, exchange: Exchange | None, now_ns: int) -> Fault | None:
        """Return the fault of a kind that holds on a venue now."""
        for fault in self.active(now_ns):
            if fault.kind is kind and fault.exchange in (None, exchange):
                return fault
        return None

    def happens(self, kind: Kind, exchange: Exchange, now_ns: int, chances: float = 1.0) -> bool:
        """Throw the dice for a fault that strikes by chance; `chances` weighs its probability."""
        fault = self.find(kind, exchange, now_ns)
        return fault is not None and self.rng.random() < fault.probability * chances

    def retry_after_s(self, exchange: Exchange, now_ns: int) -> int | None:
        """Return for how long the venue refuses requests, None if it does not."""
        fault = self.find(Kind.TOO_MANY_REQUESTS, exchange, now_ns)
        return None if fault is None else -((now_ns - fault.until_ns) // NS_PER_S)


class Shaper:
    """What the faults do to the trade frames of one connection."""

    def __init__(self, faults: Faults, exchange: Exchange) -> None:
        self._faults = faults
        self._exchange = exchange
        self._held: list[str] = []

    def shape(self, texts: Sequence[str], now_ns: int) -> Sequence[str]:
        """Return the frames as they go out now."""
        if not self._held and not self._faults.active(now_ns):
            return texts
        return [out for text in texts for out in self._shape_one(text, now_ns)]

    def release(self) -> list[str]:
        """Return a frame held back for a successor that has not come."""
        held, self._held = self._held, []
        return held

    def _shape_one(self, text: str, now_ns: int) -> Iterable[str]:
        faults, exchange = self._faults, self._exchange
        if faults.happens(Kind.GAP, exchange, now_ns):
            return
        if skewed := faults.find(Kind.WRONG_CLOCK, exchange, now_ns):
            skew_ns = skewed.skew_ms * NS_PER_MS
            text = captured.restamped(exchange, text, lambda ns: ns + skew_ns)
        if faults.happens(Kind.MALFORMED, exchange, now_ns):
            yield mangled(text, faults.rng)
        if not self._held and faults.happens(Kind.REORDER, exchange, now_ns):
            self._held = [text]
            return
        yield text
        if faults.happens(Kind.DUPLICATE, exchange, now_ns):
            yield text
        yield from self.release()


def mangled(text: str, rng: Random) -> str:
    """Return rubbish made of a frame: cut off, emptied, deeply nested, or with its numbers gone wrong."""
    match rng.randrange(5):
        case 0:
            return text[: rng.randrange(len(text))]
        case 1:
            return text.replace('"', "'")
        case 2:
            return "[" * 500 + "]" * 500
        case 3:
            return text.replace(":", ":NaN,", 1)
        case _:
            return rng.choice(("", "null", "[]", "{}", "true", "\ufffd\u0000", '{"data":null}', "1e999"))
