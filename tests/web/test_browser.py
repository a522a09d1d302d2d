"""The page in a real browser: what a person sees of prices, candles, venues and faults, and that they can use it."""

import json
import re
import socket
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from priceverse import web
from priceverse.api import page as api_page
from priceverse.bus import stats
from priceverse.bus.client import RedisDoor
from priceverse.clock import now_ms
from priceverse.model.price import Excluded, Source
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import price_now

AXE = Path(web.__file__).parent / "node_modules/axe-core/axe.min.js"
README = Path(web.__file__).parents[2] / "README.md"
BTC = '.tile[data-pair="btc-usd"]'
STALE_MS = 200_000
MOST_BYTES = 400_000
MOST_REQUESTS = 40
PIXELS = """[...document.querySelectorAll("#chart canvas")].some((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) if (data[i] === %d && data[i + 1] === %d && data[i + 2] === %d) return true;
  return false;
})"""
GREEN = PIXELS % (0x0A, 0x6F, 0x3C)
RED = PIXELS % (0xB3, 0x26, 0x1E)


def shows(selector, text):
    """An expression: the element says this."""
    return f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(text)})"


def silent(selector):
    """An expression: the element says nothing."""
    return f"document.querySelector({json.dumps(selector)}).innerText.trim() === ''"


def venues():
    """Three exchanges in a price, one of them left out."""
    at_ms = now_ms()
    return tuple(
        Source(name, Decimal(price), Decimal(2), 7, at_ms, Decimal(1), Decimal(price), Decimal(weight), excluded)
        for name, price, weight, excluded in (
            ("kraken", "64000", "0.75", None),
            ("binance", "64010", "0.25", None),
            ("okx", "70000", "0", Excluded.OUTLIER),
        )
    )


@pytest.fixture
async def opened(page, handler):
    await page.open(handler.url)
    await page.until("document.querySelectorAll('.tile[data-state=fresh]').length === 6")
    return page


@pytest.fixture
async def report(handler):
    """Reports as a collector does, again and again: a report lives for 30 s."""
    door = RedisDoor(handler.settings.redis)

    async def keep(child, values):
        while True:
            await stats.report(door, handler.settings.app.name, child, values)
            await trio.sleep(5)

    async with trio.open_nursery() as reporting:
        yield lambda exchange, **values: reporting.start_soon(keep, f"collector.{exchange}", values)
        reporting.cancel_scope.cancel()
    await door.aclose()


async def test_prices_move_with_all_their_digits(opened, publish):
    await opened.until(shows(f"{BTC} .price", "$64,000.12345678"))
    await publish([price_now(price="64555.5")])
    await opened.until(shows(f"{BTC} .price", "$64,555.5"))
    await opened.until(shows("#detail .price", "$64,555.5"))
    assert await opened.text("#connection") == "Live"
    assert opened.faults == []


async def test_the_chart_draws_and_a_price_moves_the_open_candle(page, handler, store_candles, publish):
    store_candles()
    await page.open(handler.url)
    await page.until(GREEN)
    await page.until(RED)
    await page.until(shows("#legend", "C 64,000.12"))
    label = "document.querySelector('#chart').ariaLabel"
    await page.until(f"{label}.startsWith('BTC / USD, candles of 1 h, 7 d: from ')")
    await publish([price_now(price="64777.25")])
    await page.until(shows("#legend", "C 64,777.25"))
    assert page.faults == []


async def test_intervals_and_pairs_are_chosen_by_keyboard(page, handler, store_candles):
    store_candles()
    await page.open(handler.url)
    await page.until("document.querySelector('#chart').ariaLabel.includes('candles of 1 h')")
    await page.evaluate("document.querySelector('#intervals input:checked').focus()")
    await page.press("ArrowRight")
    await page.until("document.querySelector('#chart').ariaLabel.includes('candles of 1 day, 90 d')")
    await page.evaluate("document.querySelector('.tile[data-pair=\"xmr-rub\"] button').focus()")
    await page.press("Enter")
    await page.until(shows("#detail-title", "XMR / RUB"))
    assert await page.evaluate("document.querySelectorAll('.tile [aria-pressed=true]').length") == 1
    await page.until(shows("#chart-note", "No candles yet"))
    assert page.faults == []


async def test_a_price_moves_the_candle_that_it_belongs_to(opened):
    """5 min candles: the open one changes, a later price begins the next, one that is too late changes nothing."""
    moved = "import('/candles.js').then(({ moved }) => [%s].map(([value, time]) => moved(bar, value, time, 300000)))"
    bar = "{ time: 600, open: 10, high: 12, low: 9, close: 11, volume: 5 }"
    asked = "[13, 600000], [8, 899999], [10, 900000], [10, 599999]"
    found = await opened.evaluate(f"(() => {{ const bar = {bar}; return {moved % asked}; }})()")
    names = ("time", "open", "high", "low", "close", "volume")
    assert [each and tuple(each[name] for name in names) for each in found] == [
        (600, 10, 13, 9, 13, 5),
        (600, 10, 12, 8, 8, 5),
        (900, 10, 10, 10, 10, 0),
        None,
    ]


async def test_the_address_remembers_the_pair(page, handler):
    await page.open(f"{handler.url}/#eth-rub")
    await page.until(shows("#detail-title", "ETH / RUB"))


async def test_a_stale_price_is_called_stale_until_it_is_not(opened, publish):
    await publish([price_now(age_ms=STALE_MS)])
    await opened.until(shows(f"{BTC} .badge", "Stale"))
    await opened.until(shows("#notice", "Stale, not a current price: BTC / USD"))
    assert await opened.evaluate("document.querySelector('#detail').dataset.state") == "stale"
    await publish([price_now(price="64001")])
    await opened.until(f"document.querySelector('{BTC}').dataset.state === 'fresh'")
    await opened.until(silent("#notice"))


async def test_a_lost_server_is_told_and_comes_back_by_itself(page, start, publish):
    listener = socket.create_server(("127.0.0.1", 0))
    at = listener.getsockname()
    await publish([price_now(pair) for pair in LISTED])
    first = await start(listener=listener)
    await page.open(first.url)
    await page.until(shows("#connection", "Live"))
    await first.stop()
    await page.until(shows("#connection", "Connection lost"))
    await page.until(shows("#notice", "No connection to the server"))
    await page.until("document.querySelector('#overall').innerText === 'unknown'")
    await page.until(shows("#venues-note", "No explanation: the server does not answer"))
    await publish([price_now(price="65001")])
    await start(listener=socket.create_server(at))
    await page.until(shows("#connection", "Live"))
    await page.until(shows(f"{BTC} .price", "$65,001"))
    await page.until(silent("#notice"))


async def test_an_exchange_that_is_down_is_seen(opened, report):
    report("kraken", connected=False, error="handshake refused", last_trade_ms=now_ms() - 90_000)
    report("binance", connected=True, last_trade_ms=now_ms())
    chip = "[...document.querySelectorAll('#exchanges .chip')].find((chip) => chip.innerText.includes('%s'))"
    await opened.until(f"({chip % 'Kraken'}).innerText.includes('handshake refused')")
    await opened.until(f"({chip % 'Binance'}).dataset.state === 'up'")
    assert await opened.evaluate(f"({chip % 'Kraken'}).dataset.state") == "down"


async def test_the_processes_are_seen_as_the_supervisor_sees_them(opened, tree):
    chip = "[...document.querySelectorAll('#processes .chip')].map((chip) => chip.innerText).join()"
    await opened.until(f"{chip}.includes('api.0')")
    tree[:] = [{"name": "api.1", "role": "api", "state": "backoff", "restarts": 2, "uptime_s": None}]
    await opened.until(f"{chip}.includes('api.1') && {chip}.includes('2 restarts') && !{chip}.includes('api.0')")


async def test_the_venues_of_a_price_tell_why_one_does_not_count(page, handler, publish):
    await publish([price_now(price="64002.5", details=venues())])
    await page.open(handler.url)
    await page.until("document.querySelectorAll('#venues tr').length === 3")
    rows = await page.evaluate("[...document.querySelectorAll('#venues tr')].map((row) => row.innerText)")
    kraken, okx = (next(row for row in rows if row.startswith(name)) for name in ("Kraken", "OKX"))
    assert "75.0 %" in kraken
    assert kraken.endswith("yes")
    assert okx.endswith("too far off")
    assert (await page.text("#venues-note")).startswith("2 sources by volume over 30 s")


async def test_nothing_is_cut_off_at_360_pixels(page, handler, store_candles):
    store_candles()
    await page.look(360, 740)
    await page.open(handler.url)
    await page.until("document.querySelectorAll('.tile:not([data-state=waiting])').length === 6")
    await page.until(GREEN)
    await page.until("document.documentElement.scrollWidth === 360")
    await page.until("[...document.querySelectorAll('.tile .price')].every((p) => p.scrollWidth <= p.clientWidth)")


@pytest.mark.parametrize("screen", [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")], ids=str)
async def test_axe_finds_nothing(page, handler, publish, store_candles, screen):
    store_candles()
    await publish([price_now(price="64002.5", details=venues()), price_now("xmr-usd", age_ms=STALE_MS)])
    await page.look(screen[0], 900, scheme=screen[1])
    await page.open(handler.url)
    await page.until("document.querySelector('#overall').innerText !== 'unknown'")
    await page.until("document.querySelector('#chart-note').hidden")
    await page.until("document.querySelectorAll('#venues tr').length === 3")
    await page.evaluate(f"{AXE.read_text()}; null")
    found = await page.evaluate(
        "axe.run().then(({ violations }) => violations.map((v) => [v.id, v.nodes.length, v.nodes[0].html]))"
    )
    assert found == []


async def test_it_loads_little_and_from_nowhere_else(opened, handler):
    await opened.until("document.querySelector('#overall').innerText !== 'unknown'")
    first_ms = await opened.evaluate("Math.round(performance.now())")
    sys.stdout.write(f"{opened.received_bytes} bytes, {len(opened.requests)} requests, all shown by {first_ms} ms\n")
    assert {url.rsplit("/", url.count("/") - 2)[0] for url in opened.requests} == {handler.url}
    assert opened.received_bytes < MOST_BYTES
    assert len(opened.requests) < MOST_REQUESTS
    assert opened.faults == []


async def test_an_unhealthy_instance_is_no_fault_of_the_page(page, start):
    """Its console stays empty, though GET /health would be answered 503."""
    handler = await start()
    async with handler.client() as client:
        assert (await client.get("/health")).status_code == 503
    await page.open(handler.url)
    await page.until(shows("#overall", "unhealthy"))
    assert page.faults == []


async def test_the_readmes_javascript_hears_prices(opened, handler):
    [program] = re.findall(r"^```js\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    await opened.evaluate(
        "window.heard = []; ((console) => {"
        + program.replace("http://127.0.0.1:3000", handler.url)
        + "})({ log: (...said) => heard.push(said.join(' ').trim()) })"
    )
    await opened.until("heard.includes('btc-usd 64000.12345678') && heard.some((said) => said.startsWith('btc-rub'))")


async def test_without_the_chart_library_it_says_so_and_works(page, start, publish, store_candles, monkeypatch):
    monkeypatch.setattr(api_page, "LIBRARY", "node_modules/nobody-has-this")
    store_candles()
    await publish([price_now(pair) for pair in LISTED])
    await page.open((await start()).url)
    await page.until(shows("#chart-note", "The chart library was not there when this server was set up"))
    await page.until(shows(f"{BTC} .price", "$64,000.12"))
    await page.evaluate("document.querySelector('#candle-list').open = true")
    await page.until("document.querySelectorAll('#candle-rows tr').length === 12")
    assert page.faults == []
