"""How fast a handler answers, beside others who do the same JSON work on the same core in the same run.

Run: `python tests/bench/api.py [--seconds 4] [--rounds 3] [--only WHAT ...]`. WHAT is one of

    getPrice   64 keep-alive connections, wrk on the other core: our handler, Fastify, uvicorn, granian, and stock
               Hypercorn with Quart-Trio; requests/s, p50, p99, and the server's CPU time for a request
    batch      twenty getPrice in one request, one handler
    mixed      99 % getPrice and 1 % requests that Quart answers, on the same connections of two handlers
    idle       10,000 idle connections (or what `ulimit -n` allows): memory, getPrice beside them, and what is said to
               as many by a handler that takes 2,000

The peers are installed from npm and PyPI into a folder that is thrown away (`--peers DIR` keeps it). Our handler is the
real one: it hears its prices from a real Redis, counts and measures each call; only rate limits are off. Rounds are
interleaved, the median round is shown. On a machine that others use, compare CPU times before rates.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from priceverse.bus.client import RedisDoor
from priceverse.bus.prices import PriceWriter
from priceverse.config.settings import Settings
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir

HERE = Path(__file__).parent / "http"
PYTHON_PEERS = ["uvicorn", "uvloop", "httptools", "granian", "msgspec", "hypercorn", "quart-trio", "trio"]
CONNECTIONS = 64
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PUBLISH_EVERY_S = 0.25
START_S = 60


_CALL = (
    b'{"id":"1","version":"2.0","timestamp":1767225600000,"service":"PricesService@2.0.0","method":"getPrice",'
    b'"input":{"pair":"btc-usd"}}'
)
REQUEST = (
    b"POST /netron/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_CALL), _CALL)
)


@dataclass(frozen=True, slots=True)
class Result:
    """One run of wrk."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    bad: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(BENCHES), default=list(BENCHES))
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--publish", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.publish:
        trio.run(publish, Settings.model_validate_json(given.publish))
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")
    with prices() as settings:
        for name in given.only:
            print(f"== {name}   (load {os.getloadavg()[0]:.1f})", flush=True)
            BENCHES[name](settings, given)


# What is measured


def get_price(settings: Settings, given: argparse.Namespace) -> None:
    """Compare cached getPrice on one core."""
    with ExitStack() as stack:
        folder = given.peers or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        running = {"priceverse": stack.enter_context(handlers(settings, 1))}
        for name, command in peers(folder).items():
            running[name] = stack.enter_context(server(command))
        seen: dict[str, list[Result]] = {name: [] for name in running}
        for _ in range(given.rounds):
            for name, (port, pids) in running.items():
                seen[name].append(wrk(port, pids, HERE / "invoke.lua", given.seconds, cpu=1))
    middle = {name: median(results) for name, results in seen.items()}
    for name, result in middle.items():
        show(name, result, f"{result.per_s / middle['fastify'].per_s:5.2f} × Fastify")


def batch(settings: Settings, given: argparse.Namespace) -> None:
    """Measure batches of twenty."""
    with handlers(settings, 1) as (port, pids):
        result = median([wrk(port, pids, HERE / "batch.lua", given.seconds, cpu=1) for _ in range(given.rounds)])
    show("batch of 20", result, f"{20 * result.per_s:,.0f} items/s")


def mixed(settings: Settings, given: argparse.Namespace) -> None:
    """Measure both lanes on the same connections, two handlers, nothing pinned."""
    with handlers(settings, 2) as (port, pids):
        result = median([wrk(port, pids, HERE / "mixed.lua", given.seconds) for _ in range(given.rounds)])
    show("99 % + 1 %", result, "two handlers, wrk on the same two cores")


def idle(settings: Settings, given: argparse.Namespace) -> None:
    """Measure what connections cost that asked once and say nothing more, and what one handler says to too many."""
    most = min(10_000, _open_files() - 200)
    roomy = settings.model_copy(update={"api": settings.api.model_copy(update={"max_connections": most + 200})})
    with handlers(roomy, 1) as (port, pids), ExitStack() as stack:
        before = rss_mib(pids[0])
        for _ in range(most):
            assert asked(stack, port).startswith(b"HTTP/1.1 200"), "a client was not served"
        after = rss_mib(pids[0])
        result = wrk(port, pids, HERE / "invoke.lua", given.seconds, cpu=1)
    each = f"{most:,} idle: {after - before:+.0f} MiB, {(after - before) * 1024 / most:.1f} KiB each"
    show("beside them", result, each)
    with handlers(settings, 1) as (port, pids), ExitStack() as stack:
        before = rss_mib(pids[0])
        said = [asked(stack, port)[:12].decode() or "a close" for _ in range(most)]
        told = ", ".join(f"{count:,} x {what}" for what, count in Counter(said).items())
        print(f"{most:,} clients of a handler for {settings.api.max_connections:,}: {told}", end="")
        print(f"   RSS {rss_mib(pids[0]) - before:+.0f} MiB", flush=True)


def asked(stack: ExitStack, port: int) -> bytes:
    """Open a connection that stays, ask once, and return what is said."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
    with suppress(OSError):  # one too many may be gone before it has asked
        client.sendall(REQUEST)
    try:
        return client.recv(4096)
    except ConnectionError:
        return b""


BENCHES = {"getPrice": get_price, "batch": batch, "mixed": mixed, "idle": idle}


# The load


def wrk(port: int, pids: list[int], script: Path, seconds: int, cpu: int | None = None) -> Result:
    """Run wrk after a second's warming up."""
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    url = f"http://127.0.0.1:{port}/"
    command = [*pin, "wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-s", str(script)]
    subprocess.run([*command, "-d1s", url], check=True, capture_output=True)
    before = sum(map(cpu_s, pids))
    said = subprocess.run([*command, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout
    spent = sum(map(cpu_s, pids)) - before
    count = int(found(r"(\d+) requests in", said))
    assert count, said
    bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    bad += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    return Result(
        per_s=float(found(r"Requests/sec:\s+([\d.]+)", said)),
        p50_ms=millis(found(r"50%\s+(\S+)", said)),
        p99_ms=millis(found(r"99%\s+(\S+)", said)),
        cpu_us=spent * 1e6 / max(1, count),
        bad=bad,
    )


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    assert match is not None, said
    return match[1]


def millis(text: str) -> float:
    """Return wrk's `1.23ms`, `45.00us` or `1.2s` in ms; not a number where wrk had too few to say."""
    match = re.fullmatch(r"([\d.]+)(\D+)", text)
    if match is None:
        return float("nan")
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[match[2]]


def median(results: list[Result]) -> Result:
    """Return the round in the middle by rate."""
    ordered = sorted(results, key=lambda result: result.per_s)
    return ordered[len(ordered) // 2]


def show(name: str, result: Result, remark: str) -> None:
    numbers = f"{result.per_s:9,.0f}/s   p50 {result.p50_ms:6.2f} ms   p99 {result.p99_ms:6.2f} ms"
    bad = f"   {result.bad} FAILED" if result.bad else ""
    print(f"{name:<22}{numbers}   {result.cpu_us:7.1f} us CPU   {remark}{bad}", flush=True)


# The servers


@contextmanager
def prices() -> Iterator[Settings]:
    """Start a Redis in which prices keep coming."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        path = Path(folder)
        with StateDir(path):
            redis = RedisServer(path)
            redis.start()
            settings = Settings.model_validate(
                {
                    "redis": dict(redis.settings),
                    "api": {"rate_limit": {"enabled": False}},
                    "supervisor": {"control_socket": str(path / "control.sock")},
                    "logging": {"level": "error"},
                }
            )
            with process([sys.executable, __file__, "--publish", json.dumps(settings.for_child())]) as publisher:
                assert publisher.stdout is not None
                assert publisher.stdout.readline() == "published\n", "the publisher did not start"
                yield settings
            redis.stop()


async def publish(settings: Settings) -> None:
    """Publish as the aggregator does, all pairs four times a second."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.integration.api.conftest import price_now

    writer = PriceWriter(RedisDoor(settings.redis))
    sequence = 0
    while True:
        sequence += 1
        await writer.publish([price_now(pair, sequence=sequence) for pair in settings.listed_pairs])
        if sequence == 1:
            print("published", flush=True)
        await trio.sleep(PUBLISH_EVERY_S)


@contextmanager
def handlers(settings: Settings, count: int) -> Iterator[tuple[int, list[int]]]:
    """Start real handlers on one socket; a single one has core 0 to itself."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as stack:
        listener.set_inheritable(True)
        pids = []
        for _ in range(count):
            command = [sys.executable, str(HERE / "handler.py"), str(listener.fileno())]
            pin = ["taskset", "-c", "0"] if count == 1 else []
            child = stack.enter_context(
                process([*pin, *command], stdin=json.dumps(settings.for_child()), pass_fds=(listener.fileno(),))
            )
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", "the handler did not start"
            pids.append(child.pid)
        yield listener.getsockname()[1], pids


def peers(folder: Path) -> dict[str, list[str]]:
    """Install the peers; return the command of each, with PORT in it."""
    print(f"installing peers into {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "fastify"], cwd=folder, check=True)
    python = folder / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
        subprocess.run([python / "bin/pip", "install", "--quiet", *PYTHON_PEERS], check=True)
    for name in ("fastify.mjs", "peer.py", "stock.py"):
        shutil.copy(HERE / name, folder)
    run = str(python / "bin")
    return {
        "fastify": ["node", str(folder / "fastify.mjs"), "PORT"],
        "uvicorn": [f"{run}/uvicorn", "--app-dir", str(folder), "--no-access-log", "--port", "PORT", "peer:asgi"],
        "granian": [
            f"{run}/granian",
            *("--interface", "asgi", "--no-ws", "--workers", "1", "--working-dir", str(folder)),
            *("--port", "PORT", "peer:asgi"),
        ],
        "hypercorn + quart-trio": [
            f"{run}/hypercorn",
            *("-k", "trio", "--workers", "0", "--bind", "127.0.0.1:PORT", "--backlog", "1024"),
            f"{folder}/stock.py:app",
        ],
    }


@contextmanager
def server(command: list[str]) -> Iterator[tuple[int, list[int]]]:
    """Start a peer on core 0."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with process(["taskset", "-c", "0", *(part.replace("PORT", str(port)) for part in command)]) as child:
        give_up_s = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < give_up_s, f"did not start: {' '.join(command)}"
                time.sleep(0.05)
        yield port, [child.pid, *children(child.pid)]


@contextmanager
def process(command: list[str], *, stdin: str = "", pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        pass_fds=pass_fds,
    )
    assert child.stdin is not None
    child.stdin.write(stdin)
    child.stdin.close()
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


# What the kernel says


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(each) for task in tasks for each in (task / "children").read_text().split()]


def below(pid: int) -> list[int]:
    """Return the children of a process, and theirs, and so on."""
    return [each for child in children(pid) for each in (child, *below(child))]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


def _open_files() -> int:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(soft, hard)


if __name__ == "__main__":
    main()
