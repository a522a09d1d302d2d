"""Restarts under load: how many requests fail?

Run: `python tests/bench/supervision/rolling.py [--requests 100000] [--small 20000] [--clients 16]`. First the API of
a whole instance under `ctl restart api --rolling` again and again, with connections kept and with one a request; then
the benches' small two-process program on an inherited socket, restarted by each supervisor in each of its ways: the
same program, the same drain. Load: wrk (Debian: `apt-get install wrk`). Whatever is no 2xx reply within 10 s failed;
while nobody listens, wrk tries again as fast as it can, and every try counts.
"""

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stage import HERE, UNLIMITED, ctl, free_port, on_stage, options, peers, table

from tests.e2e.instance import eventually, running

SLICE_S = 10
LIMIT_S = 600.0
RESTARTS_MIN = 3
FAILURES = ("connect", "read", "write", "status", "timeout")


def main() -> None:
    arguments = options(__doc__ or "", requests=100_000, small=20_000, clients=16)
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk")
        return
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory(prefix="stage-") as folder:
        rows += instance(Path(folder) / "state", arguments.requests, arguments.clients)
    with peers(arguments) as roots:
        for which in roots:
            with on_stage(which, 2, port=free_port()) as root:
                for name, restart in root.restarts().items():
                    for keeping in ("keep", "close"):
                        load = Load(f"http://127.0.0.1:{root.port}", "small", keeping, arguments.clients)
                        rows.append([f"small, {root.title}: {name}", keeping, *load.during(restart, arguments.small)])
    head = ["", "connections", "requests", "failed", "of which", "restarts", "p99, s", "max, s", "requests/s"]
    table("Restart under load", head, rows)


def instance(state: Path, requests: int, clients: int) -> list[Sequence[object]]:
    """Load the API of `priceverse up` while its pool is rolled."""
    if not requests:
        return []
    with running(state, env=UNLIMITED) as it:
        eventually(lambda: it.price("btc-usd"), bool, 60)

        def roll() -> object:
            return ctl(state / "control.sock", "restart", target="api", rolling=True, timeout=60.0)

        title = "priceverse up: restart api --rolling"
        return [[title, how, *Load(it.url, "api", how, clients).during(roll, requests)] for how in ("keep", "close")]


class Load:
    """wrk in slices, one after the other."""

    def __init__(self, url: str, what: str, keeping: str, clients: int) -> None:
        self._command = ["wrk", "-t1", f"-c{clients}", f"-d{SLICE_S}", "--timeout", "10", "--latency",
                         "-s", str(HERE / "wrk.lua"), url, "--", what, keeping]  # fmt: skip
        self._slices: list[dict[str, float]] = []

    def during(self, restart: Callable[[], object], requests: int) -> Sequence[object]:
        """Load while restarting again and again, until so many requests were made; return the table's figures."""
        begun_s, over = time.monotonic(), threading.Event()
        restarts: list[float] = []
        restarting = threading.Thread(target=self._restart, args=(restart, restarts, over))
        restarting.start()
        try:
            while self._sum("requests") < requests or len(restarts) < RESTARTS_MIN:
                if time.monotonic() - begun_s > LIMIT_S or not restarting.is_alive():
                    break
                self._slice()
        finally:
            over.set()
            restarting.join()
        kinds = {kind: int(self._sum(kind)) for kind in FAILURES}
        of_which = ", ".join(f"{kind} {times}" for kind, times in kinds.items() if times) or "–"
        p99_s, max_s = (f"{max(each[name] for each in self._slices):.3f}" for name in ("p99_s", "max_s"))
        rate = round(self._sum("requests") / (len(self._slices) * SLICE_S))
        return [int(self._sum("requests")), sum(kinds.values()), of_which, len(restarts), p99_s, max_s, rate]

    def _sum(self, name: str) -> float:
        return sum(each[name] for each in self._slices)

    def _slice(self) -> None:
        done = subprocess.run(self._command, check=True, capture_output=True, text=True, timeout=SLICE_S + 30)
        self._slices.append(json.loads(done.stdout.splitlines()[-1]))

    def _restart(self, restart: Callable[[], object], took_s: list[float], over: threading.Event) -> None:
        while not over.wait(1.0):
            begun_s = time.monotonic()
            restart()
            took_s.append(time.monotonic() - begun_s)


if __name__ == "__main__":
    main()
