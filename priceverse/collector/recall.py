"""Where a collector begins: where its predecessor left off, as Redis tells it.

    the end of each stream ─▶ what has been had     a mark, if there is one ─▶ what has been missed before that

The rule: the mark wins over the end of the stream, and what the stream holds beyond the mark has been had all the same.
What a mark can no longer bring back is told as lost.
"""

from priceverse.bus import marks as words
from priceverse.bus import tail
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.marks import Place
from priceverse.clock import now_ms
from priceverse.collector.admission import Admission, Book
from priceverse.collector.backfill import Lose
from priceverse.collector.marks import Marks, missing_of
from priceverse.exchanges.protocol import Adapter, Mark
from priceverse.log import get_logger
from priceverse.model.loss import LossReason

SLACK_MS = 60_000
"""The exchange's clock and Redis's are so far apart at most."""


async def recall(door: RedisDoor, adapter: Adapter, admission: Admission, marks: Marks, lose: Lose) -> None:
    """Begin where the streams end or, where that is known, where they are whole up to; if Redis is there to tell."""
    for symbol, pair in adapter.pairs.items():
        try:
            place = await words.read(door, adapter.exchange, pair)
            since_ms = place.timestamp_ms - SLACK_MS if place else None
            end = await tail.newest(door, pair, adapter.exchange, since_ms)
        except RedisUnavailable as away:
            get_logger().warning("streams_not_recalled", error=str(away))
            return
        book = admission.book(symbol)
        for entry in end.trades:
            book.recall(Mark(entry.trade_id, entry.timestamp_ms))
        if place is not None:
            marks.recalled(symbol, place)
            for lost in _resume(book, place, end):
                lose(pair, *lost, LossReason.TOO_MANY)


def _resume(book: Book, place: Place, end: tail.End) -> list[tuple[int, int]]:
    """Begin with what was missing; return the times of what cannot be told any more from what has been had."""
    lost = [place.rest] if place.rest else []
    if book.coverage is None:
        book.resume(Mark(place.trade_id, place.timestamp_ms))
        return lost
    holes = missing_of(place, now_ms()).holes
    if not end.is_whole or not end.trades:
        return [*lost, *((hole.since_ms, hole.until_ms) for hole in holes)]
    had = ((int(entry.trade_id), entry.timestamp_ms) for entry in end.trades if entry.trade_id.isdecimal())
    book.coverage.reopen(holes, had)
    return lost
