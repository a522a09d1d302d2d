"""The commands that ask a running server, as a person and as a machine see them."""

import csv
import io
import json
import re
import subprocess
import sys
from decimal import Decimal
from functools import partial

import pytest
import trio
from arro3.core import DataType
from arro3.io import read_parquet
from click.testing import CliRunner

from priceverse.cli import COMMANDS, main
from priceverse.cli.examples import EXAMPLES
from priceverse.clock import now_ms
from priceverse.model.price import Source
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import WAIT_S, price_now


@pytest.fixture
def type_in(handler):
    """Types a command in, beside the loop that serves it; returns exit code and what it said."""

    async def type_in(*words: str, url: str | None = None, columns: int = 140):
        line = [*words, "--url", url or handler.url]
        done = await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, line, env={"COLUMNS": str(columns)}))
        return done.exit_code, done.output

    return type_in


async def test_prices_of_all_pairs_with_all_digits(type_in):
    code, said = await type_in("prices")
    assert code == 0
    assert [line.split()[:2] for line in said.splitlines()[1:]] == [[pair, "64,000.12345678"] for pair in LISTED]


async def test_prices_for_machines_keep_their_digits(type_in):
    code, said = await type_in("prices", "btc-usd", "--json")
    [price] = json.loads(said, parse_float=Decimal)
    assert (code, price["price"]) == (0, Decimal("64000.12345678"))


async def test_watching_ends_with_one_line_when_nobody_is_there(type_in, unused_tcp_port):
    code, said = await type_in("prices", "btc-usd", "--watch", url=f"http://127.0.0.1:{unused_tcp_port}")
    assert (code, said.strip().count("\n")) == (69, 0)


async def test_watching_into_a_pipe_is_a_line_for_each_change(handler):
    """A pipe has no screen to draw anew: until it ended there was nothing in it."""
    words = [sys.executable, "-m", "priceverse", "prices", "btc-usd", "--watch", "--url", handler.url]
    with trio.fail_after(3 * WAIT_S):
        async with trio.open_nursery() as nursery:
            watching = await nursery.start(partial(trio.run_process, words, stdout=subprocess.PIPE, check=False))
            said = b""
            while b"\n" not in said:
                said += await watching.stdout.receive_some()
            watching.terminate()
    assert re.fullmatch(rb"\S+Z btc-usd 64000\.12345678\n", said)


async def test_candles_as_table_csv_json_and_drawing(type_in, store_candles):
    store_candles()
    code, table = await type_in("candles", "btc-usd", "-n", "5")
    assert (code, len(table.splitlines())) == (0, 6)
    code, text = await type_in("candles", "btc-usd", "-n", "5", "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (code, len(rows)) == (0, 5)
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    code, text = await type_in("candles", "btc-usd", "-n", "5", "--json")
    assert [Decimal(str(each["open"])) for each in json.loads(text)] == [Decimal(row["open"]) for row in rows]
    code, chart = await type_in("candles", "btc-usd", "--chart")
    assert code == 0
    assert chart.count("┃") > 100


async def test_health_says_how_it_is_and_exits_by_it(type_in):
    code, said = await type_in("health")
    assert code == 0
    assert re.search(r"^ ?database +up", said, re.MULTILINE)
    assert (await type_in("health", "--json"))[0] == 0


async def test_an_explanation_names_the_window(type_in):
    code, said = await type_in("explain", "btc-usd")
    assert code == 0
    assert said.startswith("btc-usd  64,000.12345678  as of ")


async def test_80_columns_are_enough_for_an_explanation(type_in, publish):
    usd = Decimal(64_000)
    source = Source("coinbase", usd, Decimal(1000), 12_345, now_ms(), Decimal(1), usd, Decimal(1), excluded=None)
    await publish([price_now("btc-rub", sequence=2, rate=Decimal(80), details=(source,))])
    code, said = await type_in("explain", "btc-rub", columns=80)
    assert (code, said.splitlines()[-1].split()[0], "…" in said) == (0, "coinbase", False)


async def test_an_export_has_every_candle_once(type_in, store_candles, tmp_path):
    store_candles()
    file = tmp_path / "out.csv"
    code, _ = await type_in("export", "btc-usd", "--from", "2020-01-01", "-i", "1hour", "-o", str(file))
    starts = [row["timestamp"] for row in csv.DictReader(io.StringIO(file.read_text()))]
    assert code == 0
    assert len(starts) == len(set(starts)) == 200
    assert starts == sorted(starts)


async def test_a_parquet_file_has_exact_decimals(type_in, store_candles, tmp_path):
    store_candles()
    file = tmp_path / "out.parquet"
    code, _ = await type_in("export", "btc-usd", "--from", "2020-01-01", "--format", "parquet", "-o", str(file))
    found = read_parquet(file).read_all()
    assert (code, found.num_rows) == (0, 200)
    assert found.schema.field("open").type == DataType.decimal128(24, 8)
    newest = {name: found[name].to_pylist()[-1] for name in ("open", "high", "trades")}
    assert newest == {"open": Decimal(64_199), "high": Decimal(64_499), "trades": 10}
    assert found["timestamp"].to_pylist() == sorted(set(found["timestamp"].to_pylist()))


async def test_without_the_library_one_line_says_what_to_install(type_in, monkeypatch):
    monkeypatch.setitem(sys.modules, "arro3.core", None)
    code, said = await type_in("export", "btc-usd", "--from", "2020-01-01", "--format", "parquet")
    assert (code, said.count("\n")) == (1, 1)
    assert "pip install 'priceverse[parquet]'" in said


async def test_what_is_refused_is_one_line(type_in):
    code, said = await type_in("prices", "doge-usd")
    assert (code, said) == (1, "Error: Unknown pair: doge-usd (VALIDATION_4001)\n")


async def test_a_server_that_is_not_there_is_one_line(type_in, unused_tcp_port):
    code, said = await type_in("health", url=f"http://127.0.0.1:{unused_tcp_port}")
    assert (code, said.count("\n")) == (69, 1)
    assert "--url names another server" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")
    assert all(line in done.output for line in EXAMPLES[name])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_PRICEVERSE_COMPLETE" in done.output


def test_the_version_is_for_machines_too():
    done = CliRunner().invoke(main, ["version", "--json"])
    assert set(json.loads(done.output)) == {"priceverse", "python", "system"}
