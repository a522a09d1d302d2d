"""A venue's history in the language of words: what happened, whether or not a connection brought it."""

from collections.abc import Sequence

import trio

from priceverse.exchanges.protocol import Gap, Page, PageError, Request
from priceverse.model.trade import Trade
from priceverse.net.errors import NetError
from tests.fakes.exchange import WHERE, Words

PAGE = 3


class Archivist(Words):
    """The adapter: numbered, unless told otherwise, and with history by pages of three."""

    is_numbered = True
    request_interval_s = 0.1

    def history(self, rest_url: str, gap: Gap, cursor: str = "") -> Request:
        before = "" if gap.before is None else gap.before.trade_id
        return Request("GET", f"{gap.symbol} {gap.after.trade_id} {before} {cursor}")

    def page(self, gap: Gap, cursor: str, reply: bytes) -> Page:
        if not reply.startswith(b"page "):
            raise PageError(reply.decode())
        following, _, rows = reply.decode().removeprefix("page ").partition("|")
        trades = [self._item(*row.split(" ")) for row in rows.split(";") if row]
        if not self.is_numbered:
            ids = [each.trade_id for each in trades]
            is_cut = gap.after.trade_id not in ids
            trades = trades if is_cut else trades[ids.index(gap.after.trade_id) + 1 :]
            return Page(_historical(trades), is_cut=is_cut and bool(trades))
        return Page(_historical(trades), cursor=following or None)


class Archive:
    """The other end of `ask`."""

    def __init__(self, adapter: Archivist) -> None:
        self._adapter = adapter
        self.happened: dict[str, list[tuple[int, int]]] = {}
        self.asked: list[tuple[str, float]] = []
        self.refusal: NetError | None = None
        self.says = ""

    def happen(self, symbol: str, *ids: int, at_ms: int) -> None:
        """Let trades happen."""
        self.happened.setdefault(symbol, []).extend((number, at_ms) for number in ids)

    async def ask(self, request: Request) -> bytes:
        await trio.lowlevel.checkpoint()
        self.asked.append((request.url, trio.current_time()))
        if self.refusal is not None:
            raise self.refusal
        if self.says:
            return self.says.encode()
        symbol, *words = request.url.split(" ")
        return self._page(symbol, *words)

    def _page(self, symbol: str, after: str, before: str, cursor: str) -> bytes:
        rows = sorted(self.happened.get(symbol, []))
        if self._adapter.newest_rows:
            return _reply(symbol, rows[-self._adapter.newest_rows :], "")
        inside = [row for row in rows if int(after) < row[0] and (not before or row[0] < int(before))]
        if self._adapter.pages_back:
            inside = [row for row in inside if not cursor or row[0] < int(cursor)]
            found = inside[-PAGE:]
            return _reply(symbol, found, str(found[0][0]) if len(inside) > PAGE else "")
        inside = [row for row in inside if not cursor or row[0] >= int(cursor)]
        found = inside[:PAGE]
        return _reply(symbol, found, str(found[-1][0] + 1) if len(inside) > PAGE else "")


def away(status: int | None = None, retry_after_s: float | None = None) -> NetError:
    """Say that history cannot be had."""
    return NetError(WHERE, "no", status=status, retry_after_s=retry_after_s)


def _reply(symbol: str, rows: Sequence[tuple[int, int]], cursor: str) -> bytes:
    return f"page {cursor}|{';'.join(f'trade {symbol} {number} {at_ms}' for number, at_ms in rows)}".encode()


def _historical(trades: Sequence[object]) -> tuple[Trade, ...]:
    return tuple(each._replace(historical=True) for each in trades if isinstance(each, Trade))
