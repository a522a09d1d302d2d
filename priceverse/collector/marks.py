"""Word for a successor: what the streams lack while this process fetches it. Pure; the publisher writes it.

    a hole opens ─▶ `opened`, ahead of the first trade behind it, in the same pipeline
    all that was offered is written ─▶ `settled`: what is filled, or recorded as lost, is taken off

The rule: a mark never says less than is missing. So it only grows while trades wait, and says exactly what is missing
when none do. A look at a mark costs a comparison of numbers.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from priceverse import clock
from priceverse.bus import keys
from priceverse.bus.marks import Place, Words
from priceverse.collector.admission import Admission, Book
from priceverse.collector.coverage import Hole, Span
from priceverse.exchanges.protocol import Adapter, Mark

MOST_HOLES = 256
"""Of more holes than so many only the time is left to a successor, who tells it as a loss."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Up to `place` all is in the stream; beyond it `holes` are missing or, where ids tell nothing, anything may be."""

    place: Mark
    holes: tuple[Hole, ...] = ()


class Marks:
    """The marks of one exchange; `unrecorded` says of which pairs a loss has not reached the gap table yet."""

    def __init__(self, adapter: Adapter, admission: Admission, unrecorded: Callable[[], Collection[str]]) -> None:
        self._keys = {symbol: keys.backfill(adapter.exchange, pair) for symbol, pair in adapter.pairs.items()}
        self._pairs = adapter.pairs
        self._books = {symbol: admission.book(symbol) for symbol in adapter.pairs}
        self._opened = dict.fromkeys(adapter.pairs, 0)
        self._written: dict[str, Missing] = {}
        self._unrecorded = unrecorded

    def recalled(self, symbol: str, place: Place) -> None:
        """Note what is in Redis from the process before."""
        self._written[symbol] = missing_of(place, 0)

    def opened(self, *, is_all: bool) -> Words:
        """Return what has to be written before the trades that are taken now; `is_all` if no others wait."""
        grown = {}
        for symbol, book in self._books.items():
            if book.opened != self._opened[symbol]:
                self._opened[symbol] = book.opened
                wider = _wider(self._written.get(symbol), missing(book, _fresh(book, is_all=is_all)))
                if wider is not None:
                    self._written[symbol] = wider
                    grown[self._keys[symbol]] = place_of(wider, clock.now_ms())
        return grown

    def settled(self) -> Words:
        """Return what has to be written when nothing waits to be."""
        words: dict[str, Place | None] = {}
        if not self._written:
            return words
        unrecorded = self._unrecorded()
        for symbol, known in list(self._written.items()):
            left = missing(self._books[symbol])
            if left == known or self._pairs[symbol] in unrecorded:
                continue
            if left is None:
                del self._written[symbol]
            else:
                self._written[symbol] = left
            words[self._keys[symbol]] = place_of(left, clock.now_ms()) if left else None
        return words


def _fresh(book: Book, *, is_all: bool) -> list[Hole]:
    """Return the holes that have opened since the last look, unless what has closed any is being written now."""
    if book.coverage is None:
        return []
    fresh = [] if is_all else list(book.coverage.fresh)
    book.coverage.fresh.clear()
    return fresh


def missing(book: Book, fresh: Iterable[Hole] = ()) -> Missing | None:
    """Return what may be missing by now, if anything, beside the `fresh` holes."""
    if book.coverage is None:
        return Missing(book.doubted) if book.doubted is not None else None
    return _with({replace(hole, found_ms=0, asked=0) for hole in (*book.coverage.holes, *fresh)})


def place_of(known: Missing, now_ms: int) -> Place:
    """Return what is written of it."""
    named, rest = known.holes[:MOST_HOLES], known.holes[MOST_HOLES:]
    return Place(
        known.place.trade_id,
        known.place.timestamp_ms,
        now_ms,
        tuple((*hole.span, hole.since_ms, hole.until_ms) for hole in named),
        (min(hole.since_ms for hole in rest), max(hole.until_ms for hole in rest)) if rest else None,
    )


def missing_of(place: Place, found_ms: int) -> Missing:
    """Return what was written: all but the rest."""
    holes = (Hole(Span(first, last), since, until, found_ms) for first, last, since, until in place.lacks)
    return Missing(Mark(place.trade_id, place.timestamp_ms), tuple(holes))


def _with(holes: Iterable[Hole]) -> Missing | None:
    known = tuple(sorted(holes, key=lambda hole: hole.span))
    if not known:
        return None
    return Missing(Mark(str(known[0].span.first - 1), min(hole.since_ms for hole in known)), known)


def _wider(known: Missing | None, now: Missing | None) -> Missing | None:
    """Return what either says to be missing."""
    if known is None or now is None:
        return now or known
    fresh = [hole for hole in now.holes if not any(_holds(other.span, hole.span) for other in known.holes)]
    return _with((*known.holes, *fresh)) or min(known, now, key=lambda each: each.place.timestamp_ms)


def _holds(outer: Span, inner: Span) -> bool:
    return outer.first <= inner.first and inner.last <= outer.last
