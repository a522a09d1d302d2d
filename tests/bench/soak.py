"""What an instance keeps after a long time: the slope of every process's memory, and its open files.

    python tests/bench/soak.py [--minutes 3] [--requests 50]      the figure is made with --minutes 30

`priceverse up` with its default pools, and calls at a steady rate on fresh connections. Every 15 s the resident set and
the open files of each process are read; after a warm-up of a third of the time a line is fitted through each
(Theil-Sen: the median of the slopes between all pairs, so that one collection of garbage counts for little).
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from footprint import priceverse, pss_mib

GOAL_MIB_PER_H = 1.0
EVERY_S = 15.0
CALLS = [
    {"service": "PricesService", "method": "getPrice", "input": {"pair": "btc-usd"}},
    {"service": "PricesService", "method": "getPriceChange", "input": {"pair": "eth-usd", "period": "24hours"}},
    {"service": "ChartsService", "method": "getOHLCV", "input": {"pair": "btc-rub", "interval": "5min"}},
]


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    at_s: float
    rss_mib: float
    pss_mib: float
    fds: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--requests", type=float, default=50.0, help="a second")
    given = parser.parse_args()
    os.environ["PRICEVERSE_API__RATE_LIMIT__ENABLED"] = "false"
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        state = Path(folder) / "state"
        said = priceverse("up", "--detach", "--port", "0", "--state", str(state))
        url = next(line.split()[1] for line in said.splitlines() if line.startswith("page"))
        over = threading.Event()
        asking = threading.Thread(target=ask, args=(f"{url}netron/invoke", given.requests, over))
        asking.start()
        try:
            seen = watch(state, given.minutes * 60)
        finally:
            over.set()
            asking.join()
            priceverse("up", "--stop", "--state", str(state))
    report(seen, given.minutes * 20)


def ask(url: str, per_s: float, over: threading.Event) -> None:
    for call in itertools.cycle(CALLS):
        if over.wait(1 / per_s):
            return
        request = urllib.request.Request(url, json.dumps(call).encode(), {"Content-Type": "application/json"})
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as reply:
            reply.read()


def watch(state: Path, seconds: float) -> dict[str, list[Sample]]:
    """Look at every process until the time is over; one that was replaced begins anew, under its pid."""
    seen: dict[str, list[Sample]] = {}
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < seconds:
        status = json.loads(priceverse("ctl", "--state", str(state), "status", "--json"))
        pids = {child["name"]: child["pid"] for child in status["children"]}
        pids |= {"root": status["root"]["pid"], "zygote": status["root"]["zygote_pid"]}
        for name, pid in pids.items():
            with suppress(OSError):
                seen.setdefault(f"{name} ({pid})", []).append(look(pid, at_s))
        time.sleep(EVERY_S)
    return seen


def look(pid: int, at_s: float) -> Sample:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    fds = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(at_s, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, pss_mib(pid), fds)


def report(seen: dict[str, list[Sample]], warm_s: float) -> None:
    print(f"{'process':<28}{'RSS MiB':>9}{'at end':>8}{'MiB/h':>8}{'files':>7}{'at end':>8}")
    for name, samples in seen.items():
        settled = [sample for sample in samples if sample.at_s >= warm_s]
        if len(settled) < 2:
            print(f"{name:<28} gone early")
            continue
        first, last = settled[0], settled[-1]
        slope = slope_per_h(settled)
        print(f"{name:<28}{first.rss_mib:9.1f}{last.rss_mib:8.1f}{slope:8.2f}{first.fds:7}{last.fds:8}")
    print(f"goal: at most {GOAL_MIB_PER_H:.0f} MiB/h each, files flat; the simulator keeps what it sent, for REST")


def slope_per_h(samples: list[Sample]) -> float:
    pairs = itertools.combinations(samples, 2)
    return statistics.median((b.rss_mib - a.rss_mib) / (b.at_s - a.at_s) * 3600 for a, b in pairs)


if __name__ == "__main__":
    main()
