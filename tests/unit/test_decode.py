"""`priceverse decode`: trades on stdout, the rest on stderr, one JSON object a line, in bounded memory."""

import io
import json

import pytest
from click.testing import CliRunner

from priceverse.cli.decode import command
from priceverse.exchanges.frames import MAX_FRAME
from tests.unit.exchanges.frame_files import files, kind_of

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":7,'
    b'"p":"61837.60","q":"1e-3","T":1790000000000,"m":true}}'
)


def decode(stdin, *args):
    """Run the command; return its exit code, the objects on stdout and those on stderr."""
    result = CliRunner().invoke(command, list(args), input=stdin)
    if result.exit_code:
        return result.exit_code, result.stdout, result.stderr
    return result.exit_code, *(
        [json.loads(line) for line in text.splitlines()] for text in (result.stdout, result.stderr)
    )


@pytest.mark.parametrize("file", files(".jsonl"), ids=str)
def test_the_trades_of_a_file(file):
    code, trades, rest = decode(file.path.read_bytes(), file.exchange, "--symbols", str(file.beside("symbols.json")))
    assert code == 0
    assert trades == file.expected()
    assert {line["frame"] for line in trades + rest} == set(range(1, len(file.frames()) + 1))
    assert all({"frame", "kind"} <= line.keys() for line in rest)


@pytest.mark.parametrize("file", files(".edge.jsonl"), ids=str)
def test_the_kinds_of_oddities(file):
    code, trades, rest = decode(file.path.read_bytes(), file.exchange, "--symbols", str(file.beside("symbols.json")))
    assert code == 0
    adapter = file.adapter()
    for number, frame in enumerate(file.frames(), start=1):
        kinds = [kind_of(item) for item in adapter.receive(frame)]
        assert [line["kind"] for line in rest if line["frame"] == number] == [k for k in kinds if k != "trade"]
        assert sum(line["frame"] == number for line in trades) == kinds.count("trade")


def test_a_line_holds_exact_strings():
    code, [trade], rest = decode(TRADE, "binance")
    assert (code, rest) == (0, [])
    assert trade == {
        "frame": 1,
        "idx": 0,
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "pair": "btc-usd",
        "price": "61837.60",
        "volume": "0.001",
        "timestamp": 1790000000000,
        "trade_id": "7",
        "side": "sell",
    }


def test_frames_are_numbered_whatever_the_lines_hold():
    huge = b"x" * (3 * MAX_FRAME)
    code, trades, rest = decode(b"\n".join([b"", b"\xff\xfe", huge, TRADE, b"{}", huge]), "binance")
    assert code == 0
    assert [trade["frame"] for trade in trades] == [4]
    assert [(line["frame"], line["kind"], line.get("reason")) for line in rest] == [
        (1, "malformed", "not_json"),
        (2, "malformed", "not_utf8"),
        (3, "malformed", "too_large"),
        (5, "ignored", None),
        (6, "malformed", "too_large"),
    ]


@pytest.mark.parametrize("surplus", range(4))
def test_a_line_of_about_the_largest_size_is_one_frame(surplus):
    padded = TRADE + b" " * (MAX_FRAME - len(TRADE) + surplus)
    _, trades, rest = decode(padded + b"\n" + TRADE + b"\n", "binance")
    assert [trade["frame"] for trade in trades] == ([1, 2] if surplus == 0 else [2])
    assert [line["frame"] for line in rest] == ([] if surplus == 0 else [1])


def test_nothing_in_nothing_out():
    assert decode(b"", "okx") == (0, [], [])


def test_symbols_not_in_the_file_are_ignored(tmp_path):
    path = tmp_path / "symbols.json"
    path.write_text('{"ETHUSDT": "eth-usd"}', encoding="utf-8")
    code, trades, rest = decode(TRADE, "binance", "--symbols", str(path))
    assert (code, trades) == (0, [])
    assert rest == [{"frame": 1, "idx": 0, "kind": "ignored", "symbol": "BTCUSDT"}]


def test_an_unknown_feed_is_one_line_and_exit_2():
    code, out, err = decode(b"", "mtgox")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "mtgox" in err
    assert "kraken" in err


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[]", b'{"BTCUSDT": 7}', b"[" * 100_000])
def test_an_unusable_symbols_file_is_one_line_and_exit_65(tmp_path, content):
    path = tmp_path / "symbols.json"
    if content is not None:
        path.write_bytes(content)
    code, out, err = decode(TRADE, "binance", "--symbols", str(path))
    assert (code, out) == (65, "")
    assert err.count("\n") == 1
    assert str(path) in err


def test_a_folder_is_no_symbols_file(tmp_path):
    assert decode(TRADE, "binance", "--symbols", str(tmp_path))[0] == 65


def test_trades_appear_while_frames_still_come(monkeypatch):
    """A live feed can be piped through: nothing waits for the end of the input."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    seen = []

    class Endless(io.RawIOBase):
        lines = 0

        def readline(self, size=-1):
            if self.lines:
                seen.append(out.buffer.getvalue().count(b"\n"))
            self.lines += 1
            return TRADE + b"\n" if self.lines < 4 else b""

    class Stdin:
        buffer = Endless()

    monkeypatch.setattr("sys.stdin", Stdin())
    monkeypatch.setattr("sys.stdout", out)
    command.main(["binance"], standalone_mode=False)
    assert seen == [1, 2, 3]
