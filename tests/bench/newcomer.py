"""A newcomer's path, timed from a fresh clone: the page, the first call, a restarted child, a chart in the terminal.

`newcomer.py` clones this repository into a temporary folder and does what the README says; the simulator plays the
exchanges. Prints when each step was reached, in seconds since the clone began.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 900.0
CALL = {"service": "PricesService@2.0.0", "method": "getPrice", "input": {"pair": "btc-usd"}}


class Clock:
    """Tells of each step when it was reached."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()

    def reached(self, step: str) -> None:
        print(f"{time.perf_counter() - self._began_s:7.1f} s  {step}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pv-new-") as folder:
        home, state, clock = Path(folder) / "priceverse", Path(folder) / "state", Clock()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(home)], check=True)
        clock.reached("cloned")
        subprocess.run(["make", "--silent", "setup"], cwd=home, check=True, stdout=sys.stderr)
        clock.reached("make setup: the commands are there")
        flags = f"--port 0 --state {state}"
        running = subprocess.Popen(
            ["make", "--silent", "run", f"ARGS={flags}"], cwd=home, stdout=subprocess.PIPE, text=True
        )
        try:
            url = _url(running)
            clock.reached("make run: ready")
            _walk(home / ".venv/bin/priceverse", url, state, clock)
        finally:
            subprocess.run(
                [home / ".venv/bin/priceverse", "up", "--stop", "--state", state], check=True, stdout=sys.stderr
            )
            running.wait(60)
            clock.reached("stopped, nothing left")


def _walk(program: Path, url: str, state: Path, clock: Clock) -> None:
    with urllib.request.urlopen(url, timeout=10) as page:
        assert b"<html" in page.read()
    clock.reached("the page is loaded")
    _until(lambda: _price(url))
    clock.reached("the first price by a call")
    before = _children(program, state)["collector.kraken"]
    subprocess.run([program, "ctl", "--state", state, "restart", "collector.kraken"], check=True, stdout=sys.stderr)
    _until(lambda: _children(program, state).get("collector.kraken", before) != before)
    clock.reached("a child restarted by the CLI is back")
    env = os.environ | {"COLUMNS": "80"}
    chart = [program, "candles", "btc-usd", "-i", "5min", "--chart", "--url", url]
    _until(lambda: "┃" in subprocess.run(chart, env=env, capture_output=True, text=True, check=False).stdout)
    clock.reached("a chart in the terminal")


def _url(running: "subprocess.Popen[str]") -> str:
    assert running.stdout
    for line in running.stdout:
        if found := re.match(r"page +(\S+)", line):
            return found[1].rstrip("/")
    raise SystemExit("make run ended before it was ready")


def _price(url: str) -> bool:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/netron/invoke", data=json.dumps(CALL).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return bool(json.load(reply)["success"])
    except urllib.error.HTTPError:
        return False


def _children(program: Path, state: Path) -> dict[str, int]:
    said = subprocess.run(
        [program, "ctl", "--state", state, "--json", "status"], capture_output=True, check=False
    ).stdout
    return {child["name"]: child["pid"] for child in json.loads(said)["children"] if child["state"] == "ready"}


def _until(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.2)


if __name__ == "__main__":
    main()
