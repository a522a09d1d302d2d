"""What a REST reply may be: bounded JSON with rows of trades. Every adapter's history reads through here.

A row is read like a row of a frame, by the same `fields`. The rule: a reply is a page only if the venue says that it
answered; whatever else it is raises PageError, and a bad row among good ones is a Reject.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from priceverse.exchanges import frames
from priceverse.exchanges.protocol import Gap, Item, Page, PageError, Reject, Request
from priceverse.model.trade import Trade

_FEWEST = 10
"""Rows asked for at least: room for a venue that counts a cursor's own row."""


def request(rest_url: str, path: str, query: Mapping[str, object]) -> Request:
    """Return a GET of `path` under the configured base; what is None is left out of the query."""
    given = {key: value for key, value in query.items() if value is not None}
    return Request("GET", f"{rest_url.rstrip('/')}{path}?{urlencode(given)}")


def document(reply: bytes) -> object:
    """Return the JSON of a reply. Raises PageError."""
    text = frames.text_of(reply)
    parsed = frames.document(text) if isinstance(text, str) else text
    if isinstance(parsed, Reject):
        raise PageError(f"{parsed.reason}: {parsed.sample}")
    return parsed


def answered(reply: bytes, ok: Callable[[frames.Object], bool], *said: str) -> frames.Object:
    """Return the JSON object of a reply that is a success; else raise PageError with what the venue said."""
    parsed = document(reply)
    if not isinstance(parsed, dict):
        raise PageError(f"not an object: {frames.shown(parsed)}")
    if not ok(parsed):
        raise PageError(frames.shown(*(parsed.get(key, "") for key in said)).strip() or "no success and no reason")
    return parsed


def numbered(gap: Gap, items: Iterable[Item]) -> Page:
    """Return what lies inside the gap, by id, where a venue counts its trades. No cursor."""
    trades, rejects = _sorted_out(items)
    after, before = int(gap.after.trade_id), end(gap)
    inside = {int(trade.trade_id): trade for trade in trades}
    return Page(
        tuple(inside[number] for number in sorted(inside) if after < number and (before is None or number < before)),
        rejects,
    )


def forward(gap: Gap, first: int, items: Sequence[Item], asked: int) -> Page:
    """Return the page of a venue that gives `asked` rows from the id `first` on; its cursor is the next id."""
    page, before = numbered(gap, items), end(gap)
    following = max(_ids(items), default=0) + 1
    goes_on = len(items) >= asked and following > first and (before is None or following < before)
    return replace(page, cursor=str(following)) if goes_on else page


def backward(gap: Gap, before: int | None, items: Sequence[Item], asked: int) -> Page:
    """Return the page of a venue that gives `asked` rows under the id `before`; its cursor is the page's oldest id."""
    page, oldest = numbered(gap, items), min(_ids(items), default=0)
    goes_on = len(items) >= asked and oldest > beginning(gap) and (before is None or oldest < before)
    return replace(page, cursor=str(oldest)) if goes_on else page


def unnumbered(gap: Gap, items: Iterable[Item]) -> Page:
    """Return the one page of a venue whose ids tell nothing: the newest trades that are later than the gap's beginning.

    Rows of the beginning's own millisecond may be from before it or after: they are in the page, and known by their
    ids. The gap's end is not looked at: there is nothing after it that is not wanted.
    """
    trades, rejects = _sorted_out(items)
    trades.sort(key=_moment)
    ids = [trade.trade_id for trade in trades]
    if gap.after.trade_id in ids:
        return Page(tuple(trades[ids.index(gap.after.trade_id) + 1 :]), rejects)
    since_ms = gap.after.timestamp_ms
    is_cut = bool(trades) and trades[0].timestamp_ms >= since_ms
    return Page(tuple(trade for trade in trades if trade.timestamp_ms >= since_ms), rejects, is_cut=is_cut)


def beginning(gap: Gap) -> int:
    """Return the first id of a gap."""
    return int(gap.after.trade_id) + 1


def end(gap: Gap) -> int | None:
    """Return the id after the last of a gap; None where it has no end."""
    return None if gap.before is None else int(gap.before.trade_id)


def limit(most: int, first: int, before: int | None) -> int:
    """Return how many rows to ask for."""
    return most if before is None else min(most, max(_FEWEST, before - first + 1))


def columns(rows: object, names: Sequence[str]) -> object:
    """Return rows that are lists as objects; anything else as it is, for the rows' reader to refuse."""
    if not isinstance(rows, list):
        return rows
    return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]


def _ids(items: Iterable[Item]) -> list[int]:
    return [int(item.trade_id) for item in items if isinstance(item, Trade)]


def _sorted_out(items: Iterable[Item]) -> tuple[list[Trade], tuple[Reject, ...]]:
    """Return trades, marked as historical, and rejects; only rejects are no answer. Raises PageError."""
    found = list(items)
    trades = [item._replace(historical=True) for item in found if isinstance(item, Trade)]
    rejects = tuple(item for item in found if isinstance(item, Reject))
    if rejects and not trades:
        raise PageError(f"no row is a trade: {rejects[0].reason}: {rejects[0].sample}")
    return trades, rejects


def _moment(trade: Trade) -> tuple[int, int]:
    """Order trades by time, those of one millisecond by id where it is a number."""
    return trade.timestamp_ms, int(trade.trade_id) if trade.trade_id.isdecimal() else 0
