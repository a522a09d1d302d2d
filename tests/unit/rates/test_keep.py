"""The loops in virtual time, with a bank and stores that come and go."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from priceverse.config.settings import Cbr
from priceverse.exchanges.cbr import RateRefused
from priceverse.model.rate import Rate
from priceverse.net.errors import NetError
from priceverse.rates.keeper import Keeper
from priceverse.rates.serve import keep
from priceverse.rates.stores import SYNC_EVERY_S, StoreAway

FRIDAY, SATURDAY = date(2026, 9, 25), date(2026, 9, 26)
AWAY = NetError("https://www.cbr.ru", "cannot connect: Connection refused")


def rate(usd: str, day: date = FRIDAY) -> Rate:
    return Rate(Decimal(usd), day, 0)


class Bank:
    """Gives what it is told to, or its fault; remembers when it was asked and for which day."""

    def __init__(self, *says: Rate | Exception) -> None:
        self.says: list[Rate | Exception] = list(says)
        self.today: Rate | None = None
        self.asked_s: list[float] = []

    async def read(self, day: date | None = None) -> Rate:
        await trio.lowlevel.checkpoint()
        self.asked_s.append(trio.current_time())
        if day is not None:
            assert self.today is not None
            return self.today
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return said


class MemoryStore:
    def __init__(self, name: str = "redis", *stored: Rate, forgets: bool = True) -> None:
        self.name = name
        self.forgets = forgets
        self.rates: tuple[Rate, ...] = stored
        self.is_away = False
        self.saves = 0

    async def load(self) -> tuple[Rate, ...]:
        await self._answer()
        return self.rates

    async def save(self, rates: tuple[Rate, ...]) -> None:
        await self._answer()
        self.saves += 1
        self.rates = rates

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise StoreAway("Connection refused")


class Office:
    """A keeper at work."""

    def __init__(self, bank: Bank, *stores: MemoryStore) -> None:
        self.day = FRIDAY
        self.bank = bank
        self.stores = stores
        self.keeper = Keeper(Decimal("0.2"), lambda: self.day)
        self.counts: list[str] = []

    async def work(self) -> None:
        await keep(Cbr(), self.keeper, self.stores, self.bank.read, self.counts.append)


@pytest.fixture
def settle() -> Callable[[], object]:
    return trio.testing.wait_all_tasks_blocked


async def test_a_rate_is_read_at_start_and_each_hour_and_stored(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    redis, database = MemoryStore(), MemoryStore("database", forgets=False)
    office = Office(Bank(rate("80"), rate("81", SATURDAY)), redis, database)
    nursery.start_soon(office.work)
    await trio.sleep(1)
    assert redis.rates == database.rates == (rate("80"),)
    await trio.sleep(3600)
    assert redis.rates == database.rates == (rate("80"), rate("81", SATURDAY))
    assert office.keeper.in_force == rate("80")
    assert office.bank.asked_s == [0, 3600]
    office.day = SATURDAY
    await trio.sleep(SYNC_EVERY_S)
    assert office.keeper.in_force == rate("81", SATURDAY)
    assert redis.rates == (rate("80"), rate("81", SATURDAY))
    assert office.counts == ["fetches", "fetches"]


async def test_the_last_good_rate_survives_a_bank_that_is_away(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    redis = MemoryStore("redis", rate("80"))
    office = Office(Bank(AWAY), redis)
    nursery.start_soon(office.work)
    await trio.sleep(24 * 3600)
    assert redis.rates == (rate("80"),)
    seen = office.keeper.snapshot()
    assert (seen["rate"], seen["error"]) == ("80", str(AWAY))
    assert 24 * 12 <= seen["failures"] < 2000  # about every 150 s once it has been long


async def test_a_refused_document_is_a_failure_that_is_retried(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    office = Office(Bank(RateRefused("no USD row"), RateRefused("not XML"), rate("80")), MemoryStore())
    nursery.start_soon(office.work)
    await trio.sleep(10)
    assert office.keeper.in_force == rate("80")
    assert office.counts == ["failures", "failures", "fetches"]
    assert office.keeper.snapshot()["error"] == ""


async def test_retry_after_of_the_bank_is_obeyed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    busy = NetError("https://www.cbr.ru", "HTTP 429", status=429, retry_after_s=120.0)
    office = Office(Bank(busy, rate("80")), MemoryStore())
    nursery.start_soon(office.work)
    await trio.sleep(119)
    assert office.bank.asked_s == [0]
    await trio.sleep(2)
    assert office.bank.asked_s == [0, 120]


async def test_the_last_good_rate_comes_from_postgresql_when_redis_is_empty(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    redis, database = MemoryStore(), MemoryStore("database", rate("80"), forgets=False)
    office = Office(Bank(rate("800")), redis, database)
    nursery.start_soon(office.work)
    await trio.sleep(1)
    assert redis.rates == (rate("80"),)
    seen = office.keeper.snapshot()
    assert (seen["rate"], seen["held"], seen["verdicts"]["held"]) == ("80", "800", 1)


async def test_a_redis_that_was_emptied_has_the_rate_back(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    redis = MemoryStore()
    office = Office(Bank(rate("80")), redis)
    nursery.start_soon(office.work)
    await trio.sleep(100)
    redis.rates = ()
    await trio.sleep(SYNC_EVERY_S)
    assert redis.rates == (rate("80"),)


async def test_a_store_that_is_away_stops_nothing_and_catches_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    redis, database = MemoryStore(), MemoryStore("database", rate("79", SATURDAY), forgets=False)
    database.is_away = True
    office = Office(Bank(rate("80")), redis, database)
    nursery.start_soon(office.work)
    await trio.sleep(1)
    assert redis.rates == (rate("80"),)
    assert office.keeper.snapshot()["stores"] == {"redis": "ok", "database": "Connection refused"}
    database.is_away = False
    await trio.sleep(SYNC_EVERY_S)
    assert redis.rates == database.rates == (rate("80"), rate("79", SATURDAY))
    assert office.keeper.snapshot()["stores"]["database"] == "ok"


async def test_a_store_that_hangs_does_not_hold_up_the_first_question(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Hung(MemoryStore):
        async def load(self) -> tuple[Rate, ...]:
            await trio.sleep_forever()
            raise AssertionError

    redis = MemoryStore()
    nursery.start_soon(Office(Bank(rate("80")), redis, Hung("database")).work)
    await trio.sleep(6)
    assert redis.rates == (rate("80"),)


async def test_on_a_first_evening_todays_rate_is_asked_for(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    redis = MemoryStore()
    office = Office(Bank(rate("81", SATURDAY)), redis)
    office.bank.today = rate("80")
    nursery.start_soon(office.work)
    await trio.sleep(1)
    assert redis.rates == (rate("80"), rate("81", SATURDAY))


async def test_a_database_is_written_only_when_something_changed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    database = MemoryStore("database", forgets=False)
    nursery.start_soon(Office(Bank(rate("80")), database).work)
    await trio.sleep(3 * 3600)
    assert database.saves == 1
