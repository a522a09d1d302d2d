"""Coverage-guided fuzzing of each adapter with atheris: frames, REST replies, KuCoin's token, the bank's document.

Run: `python tests/bench/fuzz.py [--seconds 20] [--python PATH] [TARGET …]`, a target being a venue or `cbr`. Prints
one line a target: executions, edges reached, corpus, peak memory, what was found. Exit 1 if anything was: the input is
kept and named. Without `--python` a throw-away environment with atheris is made in a temporary folder: no dependency.

What must hold for any bytes: nothing is raised but what the contract names, every trade is sane, every text is bounded,
the quick way and the careful way agree, and no input takes more than five seconds or 512 MB.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from priceverse.exchanges.protocol import Adapter

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = (ROOT / "tests/frames", ROOT / "../shared/wire")
VENUES = ("binance", "kraken", "coinbase", "okx", "bybit", "kucoin")
LIMITS = ("-timeout=5", "-rss_limit_mb=512", "-max_len=65536", "-print_final_stats=1")
SEEDS_MOST = 400
NEEDED = ("atheris", "msgspec", "defusedxml")

HOSTILE = (
    *(None, True, 0, -1, 2**63, 10**39, 10**41, 1e308, "", "NaN", "-Infinity", "1e999999999", "0", "0.0", "-0", "1_0"),
    *("\u0661", "\ud800", "\u0000", "x" * 5000, "9" * 500, "1." + "9" * 60, "2026-13-45T99:99:99Z", [], {}, [[]], [{}]),
    *({"code": 1}, [None] * 50, "buy", "Sell", "BTC-USDT", "publicTrade.BTCUSDT", "!serverShutdown", "welcome"),
)


def seeds(target: str) -> Iterator[bytes]:
    """Yield what is worth beginning with, each with the byte that says what it is."""
    for folder in FOLDERS:
        if target == "cbr":
            yield from (b"F" + file.read_bytes() for file in sorted((folder / "cbr").glob("*.xml")))
            continue
        for file in sorted(folder.glob(f"{target}*.jsonl")):
            if ".expected" not in file.name:
                yield from (b"F" + line for line in file.read_bytes().splitlines()[:60])
        yield from (b"P" + file.read_bytes() for file in sorted((folder / "rest").glob(f"{target}*")))


def mutated(data: bytes, max_size: int, seed: int, mutate: Callable[[bytes, int], bytes]) -> bytes:
    """Return the input with one JSON value, anywhere in it, replaced, doubled or gone; or with bytes changed."""
    rng = random.Random(seed)
    try:
        document = json.loads(data[1:]) if rng.random() < 0.5 else None
    except (ValueError, RecursionError):
        document = None
    places = list(_places(document))
    if not places:
        return mutate(data, max_size)
    parent, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del parent[key]
        case 1:
            parent[key] = [parent[key]] * rng.randrange(5)
        case 2 if isinstance(parent[key], str):
            parent[key] = mutate(parent[key].encode("utf-8", "replace"), 200).decode("utf-8", "replace")
        case _:
            parent[key] = rng.choice(HOSTILE)
    return (data[:1] + json.dumps(document).encode())[:max_size]


def _places(value: object) -> Iterator[tuple]:
    """Yield each place in a document, as its container and key."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


# --- the child: one target in a process of its own


def fuzz(target: str, arguments: list[str]) -> None:
    """Fuzz one target until libFuzzer's own limits."""
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["priceverse"]):
        once = _bank() if target == "cbr" else _adapter(target)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutated(data, max_size, seed, atheris.Mutate)

    atheris.Setup([sys.argv[0], *arguments], once, **({} if target == "cbr" else {"custom_mutator": mutator}))
    atheris.Fuzz()


def _bank() -> Callable[[bytes], None]:
    from priceverse.exchanges import cbr

    def once(data: bytes) -> None:
        refusal, read = "", None
        try:
            read = cbr.parse(data[1:])
        except cbr.RateRefused as refused:
            refusal = str(refused)
        assert len(refusal) < 300
        assert "\n" not in refusal
        assert read is None or (read.usd_rub.is_finite() and read.usd_rub > 0)

    return once


def _adapter(venue: str) -> Callable[[bytes], None]:
    from priceverse.exchanges.registry import ADAPTERS
    from priceverse.model.exchange import Exchange

    maps = [json.loads(file.read_text()) for folder in FOLDERS for file in folder.glob(f"{venue}.symbols.json")]
    return Claims(ADAPTERS[Exchange(venue)]({symbol: pair for found in maps for symbol, pair in found.items()})).once


class Claims:
    """What an adapter claims of itself, tried on any bytes. The first byte says what the rest is meant to be."""

    def __init__(self, adapter: "Adapter") -> None:
        from priceverse.exchanges.protocol import Gap, Mark

        self._adapter = adapter
        self._gap = Gap(next(iter(adapter.pairs)), Mark("1", 1_600_000_000_000))

    def once(self, data: bytes) -> None:
        self.frame(data[1:])
        if data[:1] == b"P":
            self.page(data[1:])
            self.token(data[1:])

    def frame(self, data: bytes) -> None:
        from priceverse.exchanges.frames import tree

        items = self._adapter.receive(data)
        assert items
        for item in items:
            self._check(item)
        parsed = tree(data.decode()) if _is_utf8(data) else None
        if isinstance(parsed, dict):
            careful = self._adapter._anything(parsed)
            assert [_essence(item) for item in items] == [_essence(item) for item in careful]

    def page(self, data: bytes) -> None:
        from priceverse.exchanges.protocol import Page, PageError

        said, read = "", Page(())
        try:
            read = self._adapter.page(self._gap, "", data)
        except PageError as error:
            said = str(error)
        assert len(said) < 2000
        for item in (*read.trades, *read.rejects):
            self._check(item)
        assert all(trade.historical for trade in read.trades)

    def token(self, data: bytes) -> None:
        from priceverse.exchanges.protocol import PreludeError

        said, url = "", "wss://"
        try:
            url = self._adapter.endpoint("wss://example.org", data, "fuzz").url
        except PreludeError as error:
            said = str(error)
        assert len(said) < 2000
        assert url.startswith("wss://")

    def _check(self, item: object) -> None:
        from priceverse.exchanges.protocol import Control, Reject
        from priceverse.model.trade import Trade

        match item:
            case Trade():
                assert item.price.is_finite()
                assert item.volume.is_finite()
                assert min(item.price, item.volume) > 0
                assert item.trade_id
                assert item.symbol in self._adapter.pairs
                assert 1_230_000_000_000 < item.timestamp_ms < 4_102_444_800_000
            case Control():
                assert len(item.detail.encode()) <= 4000
            case Reject():
                assert len(item.sample.encode()) <= 8000
            case _:
                raise AssertionError(item)


def _essence(item: object) -> object:
    """Return an item without the wording of a reject, which shows numbers as the way read them."""
    return getattr(item, "reason", item)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- the parent: one child after the other


def run(python: str, target: str, seconds: int, folder: Path) -> bool:
    """Run one target, print what came of it, and tell whether it was nothing."""
    corpus = folder / f"{target}-corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        if number < SEEDS_MOST:
            (corpus / f"seed{number}").write_bytes(seed)
    found = folder / f"{target}-found-"
    options = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={found}", str(corpus)]
    done = subprocess.run(
        [python, __file__, "--child", target, *options], capture_output=True, text=True, check=False, errors="replace"
    )
    told = done.stderr
    edges = re.findall(r"cov: (\d+)", told)
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", told))
    kept = sorted(folder.glob(f"{target}-found-*"))
    print(
        f"{target:9} {seconds:5} s {int(stats.get('number_of_executed_units', 0)):10,} runs "
        f"{edges[-1] if edges else '?':>5} edges {len(list(corpus.iterdir())):6,} inputs "
        f"{stats.get('peak_rss_mb', '?'):>4} MB  found: {', '.join(map(str, kept)) or 'nothing'}",
        flush=True,
    )
    if done.returncode:
        print("\n".join(told.splitlines()[-40:]), file=sys.stderr)
    return done.returncode == 0


def environment(folder: Path) -> str:
    """Make an environment with atheris and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", *NEEDED], check=True)
    return python


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--python", help="an interpreter that has atheris, msgspec and defusedxml")
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=[*VENUES, "cbr"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pv-fuzz-"))
    python = options.python or environment(folder / "environment")
    clean = [run(python, target, options.seconds, folder) for target in options.targets]
    if not all(clean):
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
