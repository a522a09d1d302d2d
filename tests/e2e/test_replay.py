"""Real traffic: captured frames through sockets, adapters, Redis, aggregation and PostgreSQL, nothing lost or changed.

The capture is other people's data and stands beside the repository; a clone without it replays the project's own
frames of the same formats.
"""

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest
import redis

from priceverse.config.settings import Settings
from priceverse.embedded.redis import RedisServer
from priceverse.model.exchange import Exchange
from tests.conftest import WIRE
from tests.e2e.instance import Instance, eventually, running

FRAMES = WIRE if WIRE.is_dir() else Path(__file__).parents[1] / "frames"
SPEED = "4"


def expected(exchange: Exchange) -> dict[tuple[str, str], tuple[str, Decimal, Decimal, str]]:
    """(symbol, trade id) → what its stream entry must hold, of the live trades in our default symbols."""
    ours = Settings().symbols(exchange)
    found: dict[tuple[str, str], tuple[str, Decimal, Decimal, str]] = {}
    for line in (FRAMES / f"{exchange}.expected.jsonl").read_text(encoding="utf-8").splitlines():
        trade = json.loads(line)
        if trade["symbol"] in ours and not trade.get("historical") and not trade.get("block"):
            key = (trade["symbol"], trade["trade_id"])
            found[key] = (ours[key[0]], Decimal(trade["price"]), Decimal(trade["volume"]), trade["side"])
    return found


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    state = tmp_path_factory.mktemp("replay")
    # Blocks of different years follow one another here; only a filter as wide as it goes lets them be one market.
    wide = {"PRICEVERSE_AGGREGATION__MAX_DEVIATION": "1"}
    flags = ("--replay", str(FRAMES), "--speed", SPEED, "--truth", str(state / "truth.jsonl"))
    with running(state, *flags, env=wide) as it:
        eventually(lambda: finished(it), lambda done: len(done) == len(Exchange), 240, every_s=0.5)
        yield it


def finished(instance: Instance) -> set[str]:
    return {line["exchange"] for line in instance.log() if line["event"] == "replay_finished"}


def stream(instance: Instance) -> list[tuple[str, dict[str, str]]]:
    at = RedisServer(instance.state).settings
    client = redis.Redis(
        host=str(at.get("host", "localhost")), port=int(at.get("port", 6379)),
        unix_socket_path=at.get("unix_socket") and str(at["unix_socket"]),
        password=at.get("password") and str(at["password"]), decode_responses=True,
    )  # fmt: skip
    with client:
        return [
            (pair, fields)
            for pair in Settings().source_pairs
            for _, fields in client.xrange(f"stream:trades:{pair}")  # type: ignore[union-attr]
        ]


def test_every_captured_trade_is_in_its_stream_once_with_its_digits(instance: Instance):
    for exchange in Exchange:
        wanted = sorted(expected(exchange).values(), key=str)
        found = eventually(
            lambda exchange=exchange: sorted(
                (
                    (pair, Decimal(entry["price"]), Decimal(entry["volume"]), entry["side"])
                    for pair, entry in stream(instance)
                    if entry["exchange"] == exchange
                ),
                key=str,
            ),
            lambda have, wanted=wanted: len(have) >= len(wanted),
            10,
        )
        assert found == wanted, exchange


def test_rows_are_the_average_of_those_trades(instance: Instance):
    """No frame of the reference pair was captured, so USD venues alone count wherever there is one."""
    ends = int(time.time() // 10 * 10)
    rows = eventually(
        lambda: instance.rows(
            "select pair::text, extract(epoch from timestamp)::bigint, price, volume, sources from price_history"
            " where pair in ('btc-usd', 'eth-usd', 'xmr-usd') order by timestamp"
        ),
        lambda found: bool(found) and time.time() > ends + 25,
        60,
    )
    entries = stream(instance)
    checked = 0
    for pair, at_s, price, volume, sources in rows:
        window = [
            (fields["exchange"], Decimal(fields["price"]), Decimal(fields["volume"]))
            for of, fields in entries
            if of == pair and (at_s - 30) * 1000 <= int(fields["timestamp"]) < at_s * 1000
        ]
        dollars = [trade for trade in window if trade[0] in {"kraken", "coinbase"}]
        counted = dollars or window
        total = sum(v for *_, v in counted)
        middle = sorted(p for _, p, _ in counted)[len(counted) // 2]
        if any(p > 2 * middle for _, p, _ in counted):
            continue  # even the widest filter is at work here
        assert price == (sum(p * v for _, p, v in counted) / total).quantize(Decimal("1e-8")), (pair, at_s)
        assert (set(sources), volume) == ({venue for venue, *_ in counted}, total.quantize(Decimal("1e-8")))
        checked += 1
    assert checked >= 2
