"""What a default instance costs: cold start to the first price, memory and CPU of every process at normal load.

Run: `.venv/bin/python tests/bench/footprint.py`, 90 s. Normal load is 300 trades/s from the simulator and 50
getPrice/s from `pace.c` over four connections that stay; limits are on, and high enough. Proportional set sizes (PSS)
share out what processes have in common, so they add up. The simulator, the servers and the client are not in the
total: an operator has their own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import instance
from instance import Instance

GOAL_MIB, GOAL_START_S, GOAL_CPU = 400, 5.0, 0.25
TRADES_PER_S, CALLS_PER_S, CONNECTIONS = 300, 50, 4
SETTLE_S, SAMPLE_S = 30, 30
STARTS = 3
LIMITS = {"PRICEVERSE_API__RATE_LIMIT__METHODS": '{"getPrice": 1000000}'}


def main() -> None:
    speed = f"{TRADES_PER_S / instance.WALK_PER_S:.2f}"
    starts = []
    for number in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="pv-") as folder:
            state, begun_s = Path(folder) / "state", time.monotonic()
            with instance.instance(state, "--speed", speed, env=LIMITS) as running:
                wait_for_price(running)
                starts.append(time.monotonic() - begun_s)
                if number == STARTS - 1:
                    time.sleep(SETTLE_S)
                    report(Path(folder), state, running)
    seen = ", ".join(f"{seconds:.1f} s" for seconds in starts)
    print(f"cold start to first price: {seen}; median {statistics.median(starts):.1f} s")
    print(f"goal {GOAL_START_S:.0f} s (the instance's own databases are made and started in that time, too)")


def wait_for_price(running: Instance) -> None:
    """Return once it serves one."""
    body = b'{"service": "PricesService", "method": "getPrice", "input": {"pair": "btc-usd"}}'
    url = f"http://127.0.0.1:{running.api_port}/netron/invoke"
    while True:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.05)


def report(folder: Path, state: Path, running: Instance) -> None:
    """Put the load on and print PSS and CPU of every process of the instance."""
    pids = processes(state)
    before, began_s, trades = cpus_s(pids), time.monotonic(), instance.traded(running)
    said = instance.paced(folder, running.api_port, CALLS_PER_S, SAMPLE_S, CONNECTIONS)
    took_s = time.monotonic() - began_s
    used = {name: (spent_s - before[name]) / took_s for name, spent_s in cpus_s(pids).items()}
    per_s = (instance.traded(running) - trades) / took_s
    print(f"{'process':<22}{'PSS MiB':>8}{'CPU %':>8}   load {os.getloadavg()[0]:.1f}")
    memory = {name: pss_mib(pid) for name, pid in pids.items()}
    for name, mib in memory.items():
        note = "  (not in the total)" if name == "simulator" else ""
        print(f"{name:<22}{mib:8.1f}{used[name] * 100:8.1f}{note}")
    total_mib, total_cpu = total(memory), total(used)
    print(f"{'total':<22}{total_mib:8.1f}{total_cpu * 100:8.1f}")
    print(f"at {per_s:.0f} trades/s (of {TRADES_PER_S}) and {said['answered'] / said['seconds']:.0f} calls/s", end="")
    print(f" (of {CALLS_PER_S}), {said['failed']} failed, p99 {said['p99_ms']} ms")
    print(f"memory: {total_mib / GOAL_MIB:.2f} of the goal of {GOAL_MIB} MiB")
    print(f"CPU: {total_cpu / GOAL_CPU:.2f} of the goal of {GOAL_CPU:.0%} of a core")


def processes(state: Path) -> dict[str, int]:
    """Return the pid of every process of the instance by its name."""
    told = json.loads(priceverse("ctl", "--state", str(state), "status", "--json"))
    root = {"root": told["root"]["pid"], "zygote": told["root"]["zygote_pid"]}
    return {child["name"]: child["pid"] for child in told["children"]} | root


def total(by_process: Mapping[str, float]) -> float:
    """Add up what the instance itself uses."""
    return sum(value for name, value in by_process.items() if name != "simulator")


def priceverse(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "priceverse", *words], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpus_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds of each process so far."""
    return {name: cpu_s(pid) for name, pid in pids.items()}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
