"""From kill -9 of a child to its successor being up: first restarts, one child at a time of a tree of ten.

Run: `python tests/bench/supervision/recovery.py [--kills 60] [--instance 60]`. The moment of being up is the child's
own word; for ours a second line has the moment at which the root knew (`worker_ready`). `--instance`: so many kills
over the children of `priceverse up`, whose own start is most of what they take; as the root measures it.
"""

import random
import signal
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

from stage import Ours, Root, ctl, on_stage, options, peers, signal_to, spread, table

from tests.e2e.instance import eventually, running

CHILDREN = 10
REST_S = 2.0  # a child killed sooner after its start would not show a first restart
PAUSE_S = 0.4


def main() -> None:
    arguments = options(__doc__ or "", kills=60, instance=60)
    rows = []
    with peers(arguments, quick=True) as roots:
        for which in roots:
            with on_stage(which, CHILDREN) as root:
                killed = kill(root, arguments.kills)
                rows.append([which.title, len(killed), *spread(times(root, "up", killed))])
                if which is Ours:
                    known = times(root, "worker_ready", killed)
                    rows.append([f"{which.title}, known to the root", len(killed), *spread(known)])
    table("kill -9 of a child → its successor is up, seconds", ["", "kills", "p50", "p99", "max"], rows)
    if arguments.instance:
        instance(arguments.instance)


def instance(kills: int) -> None:
    """Kill the children of a whole instance in turn, each when it has been ready for long enough."""
    with tempfile.TemporaryDirectory(prefix="stage-") as folder, running(Path(folder) / "state") as it:
        eventually(lambda: it.price("btc-usd"), bool, 60)
        control = it.state / "control.sock"
        names = [each["name"] for each in ctl(control, "status")["children"] if each["role"] != "simulator"]
        for number in range(kills):
            name = names[number % len(names)]
            look = partial(ctl, control, "inspect", child=name)
            child = eventually(look, is_rested, 60)
            signal_to(child["pid"], signal.SIGKILL)
            eventually(look, partial(is_another, was=child), 60)
        found = defaultdict(list)
        for event in it.log():
            if event["event"] == "worker_replaced":
                found[event["worker"].partition(".")[0]].append(event["recovery_s"])
    rows = [[role, len(took), *spread(took)] for role, took in sorted(found.items())]
    total = [each for took in found.values() for each in took]
    rows.append(["all", len(total), *spread(total)])
    table("The same in a whole instance, seconds", ["role", "kills", "p50", "p99", "max"], rows)


def is_rested(child: dict) -> bool:
    return child["state"] == "ready" and child["uptime_s"] > REST_S


def is_another(child: dict, *, was: dict) -> bool:
    return child["state"] == "ready" and child["pid"] != was["pid"]


def kill(root: Root, kills: int) -> list[tuple[str, int, float]]:
    """Kill rested children one after the other, evenly; return name, pid and moment of each."""
    done: list[tuple[str, int, float]] = []
    draw = random.Random(1)
    for number in range(kills):
        name = f"c{number % CHILDREN}"
        root.ears.hear(lambda name=name: rested(root, name, done), 60)
        pid = root.pid_of(name)
        done.append((name, pid, time.monotonic()))
        signal_to(pid, signal.SIGKILL)
        root.ears.hear(lambda: False, PAUSE_S * (0.5 + draw.random()))
    said = ("up", "worker_ready") if isinstance(root, Ours) else ("up",)
    root.ears.hear(lambda: all(len(times(root, event, done)) == kills for event in said), 60)
    return done


def rested(root: Root, name: str, done: list[tuple[str, int, float]]) -> bool:
    """Return whether the child is up again after its last kill, and rested."""
    last = root.ears.all_of("up", child=name)[-1]
    is_fresh = all(last["pid"] != pid for _, pid, _ in done)
    return is_fresh and time.monotonic() - last["at_s"] >= REST_S


def times(root: Root, event: str, killed: list[tuple[str, int, float]]) -> list[float]:
    """Return from each kill the seconds to the next such event of that child."""
    found = []
    for name, pid, at_s in killed:
        later = [w["at_s"] for w in root.ears.all_of(event, child=name) if w["at_s"] > at_s and w["pid"] != pid]
        found += [min(later) - at_s] if later else []
    return found


if __name__ == "__main__":
    main()
