"""`python tests/web/pictures.py FOLDER`: how the page looks, on an instance of its own, for people to look at.

normal (page.png: the README's part of it), dark, narrow (360 px) in both, one exchange down, stale. The candles of the
past are made up: a new instance has none.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.e2e.instance import PAIRS, Instance, eventually, running
from tests.web.browser import Page, launched, tab

HOURS = 24 * 30
PRICED = "document.querySelectorAll('.tile:not([data-state=waiting])').length === 6"
DRAWN = "document.querySelector('#chart-note').hidden && document.querySelectorAll('#venues tr').length > 4"
HEALTHY = "document.querySelector('#overall').innerText !== 'unknown'"
DOWN = "document.querySelector('#exchanges [data-state=down]')"
STALE = "document.querySelectorAll('.tile[data-state=stale]').length === 6"
MOVED = "[...document.querySelectorAll('.tile .move')].every((move) => move.innerText.endsWith('%'))"
MAX_AGE = {"PRICEVERSE_API__MAX_PRICE_AGE_MS": "20000"}


def main(folder: Path) -> None:
    """Start an instance, give it a past, take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pv-pictures-") as state,
        launched() as browser,
        running(Path(state) / "s", env=MAX_AGE) as instance,
    ):
        eventually(lambda: instance.get("/health")[1]["status"], lambda status: status == "healthy", 90)
        for pair in PAIRS:
            _give_past(instance, pair)
        trio.run(_take, browser, instance, folder)


def _give_past(instance: Instance, pair: str) -> None:
    price = instance.price(pair)
    assert price
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [(pair, at, *candle) for at, candle in _walk(pair, float(price["priceExact"]), now)]
    instance.database(lambda connection: _insert(connection, rows, now))


def _walk(pair: str, price: float, now: datetime) -> Iterator[tuple[datetime, tuple[float, ...]]]:
    """Yield hourly candles back from now, ending at the price."""
    dice = random.Random(pair)
    close = price
    for hour in range(1, HOURS):
        opened = close * (1 + dice.gauss(-0.0004, 0.0035))
        high = max(opened, close) * (1 + abs(dice.gauss(0, 0.0015)))
        low = min(opened, close) * (1 - abs(dice.gauss(0, 0.0015)))
        yield now - timedelta(hours=hour), (opened, high, low, close, 20 + abs(dice.gauss(0, 9)))
        close = opened


def _insert(connection: Any, rows: list[tuple[Any, ...]], now: datetime) -> None:
    connection.execute("SELECT ensure_candle_partitions(%s, %s)", (rows[-1][1].date(), now.date()))
    connection.cursor().executemany(
        "INSERT INTO price_history_1hour"
        " (pair, timestamp, open, high, low, close, volume, trade_count, open_time, close_time)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 9, %s, %s) ON CONFLICT (pair, timestamp) DO NOTHING",
        [(*row, row[1], row[1] + timedelta(minutes=59)) for row in rows],
    )


async def _take(browser: str, instance: Instance, folder: Path) -> None:
    async with tab(browser) as page:
        await _picture(page, instance, folder / "normal.png", (1280, 1000, "light"))
        await page.look(1280, 745)
        await page.picture(folder / "page.png")  # the README's
        await _picture(page, instance, folder / "dark.png", (1280, 1000, "dark"))
        for scheme in ("light", "dark"):
            await _picture(page, instance, folder / f"narrow-{scheme}.png", (360, 740, scheme))
        await trio.to_thread.run_sync(instance.ctl, "stop", "collector.okx")
        await _picture(page, instance, folder / "exchange-down.png", (1280, 1000, "light"), DOWN)
        await trio.to_thread.run_sync(instance.ctl, "stop", "simulator")
        await _picture(page, instance, folder / "stale.png", (1280, 1000, "light"), STALE)
        assert page.faults == [], page.faults
        sys.stdout.write(f"{page.received_bytes} bytes, {len(page.requests)} requests in six visits\n")


async def _picture(
    page: Page, instance: Instance, path: Path, screen: tuple[int, int, str], also: str = "true"
) -> None:
    width, height, scheme = screen
    await page.look(width, height, scheme=scheme)
    await page.open(f"{instance.url}/")
    for expression in (PRICED, DRAWN, HEALTHY, MOVED, also):
        await page.until(expression, 120)
    await page.picture(path, whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
