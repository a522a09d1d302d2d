"""What a default instance costs: cold start to the first price, memory and CPU of every process.

Run: `.venv/bin/python tests/bench/footprint.py`. Proportional set sizes (PSS) share out what processes have in common,
so they add up. The servers and the simulator are listed and left out of the total: an operator has their own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

GOAL_MIB, GOAL_START_S, GOAL_CPU = 400, 5.0, 0.25
SETTLE_S, SAMPLE_S = 10.0, 10.0
STARTS = 3


def main() -> None:
    starts = []
    for number in range(STARTS):
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            starts.append(first_price_s(state))
            if number == STARTS - 1:
                time.sleep(SETTLE_S)
                report(state)
            priceverse("up", "--stop", "--state", str(state))
    seen = ", ".join(f"{seconds:.1f} s" for seconds in starts)
    print(f"cold start to first price: {seen}; median {statistics.median(starts):.1f} s")
    print(f"goal {GOAL_START_S:.0f} s (the instance's own databases are made and started in that time, too)")


def first_price_s(state: Path) -> float:
    """Start an instance with nothing prepared; return the seconds until it serves a price."""
    begun = time.monotonic()
    lines = priceverse("up", "--detach", "--port", "0", "--state", str(state)).splitlines()
    url = next(line.split()[1] for line in lines if line.startswith("page"))
    body = b'{"service": "PricesService", "method": "getPrice", "input": {"pair": "btc-usd"}}'
    while True:
        request = urllib.request.Request(url + "netron/invoke", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return time.monotonic() - begun
        except OSError:
            time.sleep(0.05)


def report(state: Path) -> None:
    """Print PSS and CPU of every process of the instance."""
    children = json.loads(priceverse("ctl", "--state", str(state), "status", "--json"))
    pids = {child["name"]: child["pid"] for child in children["children"]}
    pids |= {"root": children["root"]["pid"], "zygote": children["root"]["zygote_pid"]}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(SAMPLE_S)
    total_mib = total_cpu = 0.0
    print(f"{'process':<22}{'PSS MiB':>8}{'CPU %':>8}")
    for name, pid in pids.items():
        mib, cpu = pss_mib(pid), (cpu_s(pid) - before[name]) / SAMPLE_S
        note = "  (not in the total)" if name == "simulator" else ""
        print(f"{name:<22}{mib:8.1f}{cpu * 100:8.1f}{note}")
        if not note:
            total_mib, total_cpu = total_mib + mib, total_cpu + cpu
    print(f"{'total':<22}{total_mib:8.1f}{total_cpu * 100:8.1f}")
    print(f"memory: {total_mib / GOAL_MIB:.2f} of the goal of {GOAL_MIB} MiB")
    print(f"CPU: {total_cpu / GOAL_CPU:.2f} of the goal of {GOAL_CPU:.0%} of a core")


def priceverse(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "priceverse", *words], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
