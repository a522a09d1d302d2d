"""The rates child against a bank on loopback and real stores."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from inspect import isawaitable
from typing import Any

import psycopg
import pytest
import trio

from priceverse.bus import rates as bus_rates
from priceverse.bus import stats
from priceverse.bus.client import RedisDoor
from priceverse.config.settings import Cbr, Database, Redis, Settings
from priceverse.exchanges.cbr import RateRefused
from priceverse.model.rate import Rate
from priceverse.net.bank import read as read_bank
from priceverse.net.errors import NetError
from priceverse.rates.keeper import Keeper
from priceverse.rates.serve import Duties, serve, today
from tests.fakes.remote import HOST, raw_server, read_request

DEADLINE_S = 20.0


def document(usd: str, day: date, nominal: int = 1) -> bytes:
    return (
        '<?xml version="1.0" encoding="windows-1251"?>'
        f'<ValCurs Date="{day:%d.%m.%Y}" name="Foreign Currency Market"><Valute ID="R01235"><NumCode>840</NumCode>'
        f"<CharCode>USD</CharCode><Nominal>{nominal}</Nominal><Name>Доллар США</Name><Value>{usd}</Value></Valute>"
        "</ValCurs>"
    ).encode("windows-1251")


class Bank:
    """Serves what it is told to; remembers the paths asked for."""

    def __init__(self, body: bytes, *, status: str = "200 OK", content_type: str = "application/xml") -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.paths: list[str] = []
        self.today = b""

    async def open(self, nursery: trio.Nursery) -> str:
        return f"http://{HOST}:{await raw_server(nursery, self._answer)}/scripts/XML_daily.asp"

    async def _answer(self, stream: trio.abc.Stream) -> None:
        path = (await read_request(stream)).split(b" ")[1].decode()
        self.paths.append(path)
        body = self.today if "date_req" in path else self.body
        head = f"HTTP/1.1 {self.status}\r\nContent-Type: {self.content_type}; charset=windows-1251\r\n"
        await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Keeper]:
    keeper = Keeper(settings.cbr.max_jump, today)
    stopping, ready = trio.Event(), trio.Event()

    async def say_ready() -> None:
        ready.set()
        await trio.lowlevel.checkpoint()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, settings, Duties("rates", stopping, say_ready, lambda _: None), keeper)
            await ready.wait()
            yield keeper
            stopping.set()


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until `condition()`, awaited if need be, is true, and return it."""
    while not (answer := await found if isawaitable(found := condition()) else found):  # noqa: ASYNC110 - nothing tells
        await trio.sleep(0.02)
    return answer


async def stored(redis: Redis) -> tuple[Rate, ...]:
    door = RedisDoor(redis)
    found = await bus_rates.read(door)
    await door.aclose()
    return found


async def test_from_the_bank_to_both_stores(
    redis_settings: Redis,
    database_settings: Database,
    connect: Callable[[], psycopg.Connection],
    nursery: trio.Nursery,
) -> None:
    bank = Bank(document("9123,4500", today() + timedelta(days=1), nominal=100))
    bank.today = document("9023,4500", today(), nominal=100)
    cbr = Cbr(url=await bank.open(nursery))
    async with working(Settings(redis=redis_settings, database=database_settings, cbr=cbr)) as keeper:
        await until(lambda: len(keeper.rates) == 2)
        assert keeper.snapshot()["rate"] == "90.2345"
        look = connect()
        await until(lambda: look.execute("SELECT count(*) FROM usd_rub_rate").fetchone() == (2,))
    rates = await stored(redis_settings)
    assert [(rate.usd_rub, rate.date) for rate in rates] == [
        (Decimal("90.2345"), today()),
        (Decimal("91.2345"), today() + timedelta(days=1)),
    ]
    row = look.execute("SELECT rate FROM usd_rub_rate WHERE date = %s", (today(),)).fetchone()
    assert row == (Decimal("90.23450000"),)
    assert bank.paths == ["/scripts/XML_daily.asp", f"/scripts/XML_daily.asp?date_req={today():%d/%m/%Y}"]


async def test_without_postgresql_the_rate_is_on_the_bus(redis_settings: Redis, nursery: trio.Nursery) -> None:
    bank = Bank(document("80,5", today()))
    cbr = Cbr(url=await bank.open(nursery))
    away = Database(host=HOST, port=1)
    async with working(Settings(redis=redis_settings, database=away, cbr=cbr)) as keeper:
        await until(lambda: keeper.snapshot()["stores"].get("redis") == "ok" and keeper.rates)
        await until(lambda: stored(redis_settings))
        assert keeper.snapshot()["stores"]["database"] != "ok"
        door = RedisDoor(redis_settings)
        reports = await until(lambda: stats.collect(door, "priceverse", ["rates"]))
        await door.aclose()
    assert reports["rates"]["rate"] in ("80.5", None)


async def test_with_the_bank_away_the_last_good_rate_stays(
    redis_settings: Redis, database_settings: Database, nursery: trio.Nursery
) -> None:
    bank = Bank(document("80,5", today()))
    cbr = Cbr(url=await bank.open(nursery))
    async with working(Settings(redis=redis_settings, database=database_settings, cbr=cbr)) as keeper:
        await until(lambda: keeper.rates and set(keeper.stores.values()) == {"ok"})
        good = keeper.rates
    bank.status, bank.body, bank.content_type = "403 Forbidden", b"<html>", "text/html"
    async with working(Settings(redis=redis_settings, database=database_settings, cbr=cbr)) as keeper:
        await until(lambda: keeper.failures)
        assert keeper.rates == good
        assert "HTTP 403" in keeper.error
    assert await stored(redis_settings) == good


async def test_a_jump_is_held_across_restarts(
    redis_settings: Redis, database_settings: Database, nursery: trio.Nursery
) -> None:
    bank = Bank(document("80", today()))
    cbr = Cbr(url=await bank.open(nursery))
    settings = Settings(redis=redis_settings, database=database_settings, cbr=cbr)
    async with working(settings) as keeper:
        await until(lambda: keeper.rates and set(keeper.stores.values()) == {"ok"})
    bank.body = document("8000", today() + timedelta(days=1))
    async with working(settings) as keeper:
        await until(lambda: keeper.snapshot()["held"])
        assert keeper.snapshot()["rate"] == "80"
    assert [rate.usd_rub for rate in await stored(redis_settings)] == [Decimal(80)]
    raised = settings.model_copy(update={"cbr": cbr.model_copy(update={"max_jump": Decimal(100)})})
    async with working(raised) as keeper:  # what `ctl reload` does with a raised bound: the jump was real
        await until(lambda: len(keeper.rates) == 2 and set(keeper.stores.values()) == {"ok"})
    assert [rate.usd_rub for rate in await stored(redis_settings)] == [Decimal(80), Decimal(8000)]


@pytest.mark.parametrize(
    ("bank", "fault"),
    [
        (Bank(b"<html>", content_type="text/html"), RateRefused),
        (Bank(b"<html>"), RateRefused),
        (Bank(b'<?xml version="1.0"?><ValCurs>Error in parameters</ValCurs>'), RateRefused),
        (Bank(document("0,0000", date(2026, 9, 25))), RateRefused),
        (Bank(b"<ValCurs>" + b" " * 4096 + b"</ValCurs>"), NetError),
        (Bank(b"", status="503 Busy"), NetError),
    ],
)
async def test_what_is_no_rate_is_refused(nursery: trio.Nursery, bank: Bank, fault: type[Exception]) -> None:
    cbr = Cbr(url=await bank.open(nursery), max_bytes=2048)
    with trio.fail_after(DEADLINE_S), pytest.raises(fault):
        await read_bank(cbr)


async def test_a_hundred_megabytes_are_not_read(nursery: trio.Nursery) -> None:
    sent = 0

    async def pour(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<ValCurs>")
        while sent < 100 << 20:
            await stream.send_all(b" " * (1 << 20))
            sent += 1 << 20

    cbr = Cbr(url=f"http://{HOST}:{await raw_server(nursery, pour)}/")
    with trio.fail_after(DEADLINE_S), pytest.raises(NetError, match="a reply of more than 1048576 bytes"):
        await read_bank(cbr)
    assert sent < 50 << 20
