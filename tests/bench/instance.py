"""A whole instance, its handlers and its pipeline on the same cores: what a client of the API feels.

    python tests/bench/instance.py [--seconds 60] [--offered 10000]

`priceverse up` with its default pools and 2,000 trades/s in the pipeline. Then getPrice at a steady rate from `pace.c`,
which measures from the instant at which a call is due, and after it as fast as wrk can. Beside the figures stands what
took the processor meanwhile, the client included, in percent of one core. Only rate limits are off.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent))
import api

from priceverse.embedded.state import holder

SETTLE_S = 15
CONNECTIONS = 64
TRADES_PER_S = 2000
WALK_PER_S = 148
"""What the simulator's walk comes to at its own pace."""

UNLIMITED = {"PRICEVERSE_API__RATE_LIMIT__ENABLED": "false"}

TRADES = re.compile(r"^priceverse_trades_total\{.*\} (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Instance:
    """A running one."""

    api_port: int
    metrics_port: int
    root: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--offered", type=int, default=10_000)
    given = parser.parse_args()
    speed = f"{TRADES_PER_S / WALK_PER_S:.1f}"
    with (
        tempfile.TemporaryDirectory(prefix="pv-") as folder,
        instance(Path(folder) / "state", "--speed", speed, env=UNLIMITED) as running,
    ):
        time.sleep(SETTLE_S)
        with used(running, "pipeline alone"):
            time.sleep(5)
        with used(running, "paced"):
            said = paced(Path(folder), running.api_port, given.offered, given.seconds)
        with used(running, "closed loop"):
            result = api.wrk(running.api_port, [], api.HERE / "invoke.lua", 5)
    print(
        f"{said['answered'] / said['seconds']:,.0f}/s of {given.offered:,}/s offered for {given.seconds} s: "
        f"{said['failed']} failed (goal 0)   p50 {said['p50_ms']} ms (goal 3)   p99 {said['p99_ms']} ms (goal 15)   "
        f"p99.9 {said['p999_ms']} ms   worst {said['max_ms']} ms"
    )
    print(
        f"closed loop, {CONNECTIONS} connections: {result.per_s:,.0f}/s (goal 20,000)   "
        f"p50 {result.p50_ms} ms   p99 {result.p99_ms} ms   {result.bad} failed"
    )


@contextmanager
def instance(state: Path, *words: str, env: Mapping[str, str]) -> Iterator[Instance]:
    """Start `priceverse up`; it is gone in the end."""
    up = [str(Path(sys.executable).with_name("priceverse")), "up", "--state", str(state)]
    said = subprocess.run(
        [*up, "--detach", "--port", "0", *words],
        check=True,
        stdout=subprocess.PIPE,  # and not stderr, which the daemon keeps open
        text=True,
        env=os.environ | env,
    ).stdout
    try:
        yield Instance(
            api_port=int(api.found(r"http://[^:]+:(\d+)/?\s", said)),
            metrics_port=int(api.found(r"http://[^:]+:(\d+)/metrics", said)),
            root=holder(state) or 0,
        )
    finally:
        subprocess.run([*up, "--stop"], check=True, capture_output=True)


def paced(folder: Path, port: int, per_s: int, seconds: int, connections: int = CONNECTIONS) -> dict[str, float]:
    """Offer getPrice at a steady rate; return what the client saw."""
    program, request = folder / "pace", folder / "request"
    subprocess.run(["cc", "-O2", "-o", program, api.HERE / "pace.c"], check=True)
    request.write_bytes(api.REQUEST)
    command = [program, str(port), str(per_s), str(seconds), str(connections), request]
    said: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return said


@contextmanager
def used(running: Instance, during: str) -> Iterator[None]:
    """Print who used the processor meanwhile, and how many trades went through."""
    began_s, trades, before, client_s = time.monotonic(), traded(running), by_role(running), clients_s()
    yield
    took_s = time.monotonic() - began_s
    shares = {role: (spent - before[role]) / took_s for role, spent in by_role(running).items()}
    shares["the client"] = (clients_s() - client_s) / took_s
    told = ", ".join(f"{role} {share:.0%}" for role, share in sorted(shares.items(), key=lambda each: -each[1]))
    per_s = (traded(running) - trades) / took_s
    print(f"{during}: {per_s:,.0f} trades/s   {told}   load {os.getloadavg()[0]:.1f}", flush=True)


def by_role(running: Instance) -> Counter[str]:
    """Return CPU seconds by what a process is."""
    spent: Counter[str] = Counter()
    for pid in (running.root, *api.below(running.root)):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            spent[role_of(words)] += api.cpu_s(pid)
        except OSError:
            continue  # gone meanwhile
    return spent


def role_of(command: str) -> str:
    role = re.search(r"-m priceverse\.(\w+)", command)
    return role[1] if role else "stores" if "postgres" in command or "unixsocket" in command else "supervisor"


def clients_s() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def traded(running: Instance) -> int:
    with urlopen(f"http://127.0.0.1:{running.metrics_port}/metrics", timeout=10) as page:
        return sum(map(int, TRADES.findall(page.read().decode())))


if __name__ == "__main__":
    main()
