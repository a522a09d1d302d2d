"""SIGKILL of the root: which of its processes still run after 2 s, and does the next start find clean ground?

Run: `python tests/bench/supervision/orphans.py [--times 20] [--instances 3]`. The tree is a pool of six that serves a
port, so an orphan is in the way of the next start. `--instances`: the same with the whole of `priceverse up`, whose
PostgreSQL and Redis are no children of the supervisor's. Orphans of peers are ended here before their next start.
"""

import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stage import (
    Ears,
    Ours,
    Root,
    ctl,
    free_port,
    gone_within,
    options,
    peers,
    processes_of,
    runs,
    signal_to,
    spread,
    table,
)  # fmt: skip

from tests.e2e.instance import alive, descendants, running

SIZE = 6
LIMIT_S = 2.0
START_S = 30.0


def main() -> None:
    arguments = options(__doc__ or "", times=20, instances=3)
    rows: list[Sequence[object]] = []
    with peers(arguments) as roots:
        for which in roots:
            times = arguments.times if which is Ours else min(arguments.times, 3)
            rows.append(kill_roots(which, times))
    if arguments.instances:
        rows.append(kill_instances(arguments.instances))
    head = ["", "roots killed", "processes", "alive after 2 s", "last gone p50, s", "p99", "max", "clean next starts"]
    table("SIGKILL of the root", head, rows)


def kill_roots(which: type[Root], times: int) -> Sequence[object]:
    killed = left = clean = 0
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="stage-") as name:
        folder, port = Path(name), free_port()
        root = which(folder, Ears(folder), SIZE, port=port)
        root.start()
        try:
            for _ in range(times):
                pids = processes_of(root.ears) - {root.process.pid}
                kill_and_wait(root)
                gone_s = gone_within(pids, LIMIT_S)
                killed, left = killed + len(pids), left + len(alive(pids))
                took += [] if gone_s is None else [gone_s]
                clean += root.start(within_s=START_S) and is_alone(root)
        finally:
            root.stop()
    return [which.title, times, killed, left, *spread(took), f"{clean} of {times}"]


def kill_and_wait(root: Root) -> None:
    root.process.kill()
    root.process.wait()


def is_alone(root: Root) -> bool:
    """Return whether the tree is whole and nobody of an earlier one is beside it; who is, is ended."""
    own = root.children()
    strangers = {pid for pid in processes_of(root.ears) - own if pid != root.process.pid}
    for pid in strangers:
        signal_to(pid, signal.SIGKILL)
    return len(own) == SIZE and not strangers and runs(root.process.pid)


def kill_instances(times: int) -> Sequence[object]:
    killed = left = clean = 0
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="stage-") as name:
        for _ in range(times):
            with running(Path(name) / "state") as instance:
                pids = descendants(instance.process.pid)
                instance.process.kill()
                instance.process.wait()
                gone_s = gone_within(pids, LIMIT_S)
                killed, left = killed + len(pids), left + len(alive(pids))
                took += [] if gone_s is None else [gone_s]
            with running(Path(name) / "state") as again:
                clean += ctl(again.state / "control.sock", "status")["as_wanted"] and not alive(pids)
    return ["priceverse up, with its servers", times, killed, left, *spread(took), f"{clean} of {times}"]


if __name__ == "__main__":
    main()
