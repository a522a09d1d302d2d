"""A child that hangs: SIGSTOP, and a loop that turns without end. When is it noticed, when replaced?

Run: `python tests/bench/supervision/hang.py [--rounds 3] [--patience 20]`. Each round stops six children of eight at
different moments of their beats and makes two spin. The peers know nothing of hanging: nothing may happen to theirs
within `--patience` seconds, which is shown and not assumed.
"""

import random
import signal
import time
from functools import partial

from stage import Ours, Root, on_stage, options, peers, runs, signal_to, spread, table

HANGS = {"SIGSTOP": (signal.SIGSTOP, range(6)), "busy loop": (signal.SIGUSR2, range(6, 8))}
CHILDREN = 8
REPLACED_S = 30.0


def main() -> None:
    arguments = options(__doc__ or "", rounds=3, patience=20.0)
    with peers(arguments) as roots:
        rows = [row for which in roots for row in measure(which, arguments.rounds, arguments.patience)]
    head = ["", "hang", "times", "detected p50", "p99", "max", "replaced p50", "p99", "max"]
    table("A child hangs, seconds", head, rows)


def measure(which: type[Root], rounds: int, patience_s: float) -> list[list[object]]:
    with on_stage(which, CHILDREN) as root:
        if which is not Ours:
            return [nothing_happens(root, kind, patience_s) for kind in HANGS]
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in HANGS}
        for number in range(rounds):
            for kind in HANGS:
                found[kind] += hang(root, kind, random.Random(number))
        return [
            [which.title, kind, len(seen), *spread([at for at, _ in seen]), *spread([at for _, at in seen])]
            for kind, seen in found.items()
        ]


def hang(root: Root, kind: str, draw: random.Random) -> list[tuple[float, float]]:
    """Let children hang; return for each after how long it was found out, and after how long another was ready."""
    signum, numbers = HANGS[kind]
    begun = {}
    for number in numbers:
        root.ears.hear(lambda: False, draw.random() * 2 / len(numbers))
        begun[f"c{number}"] = time.monotonic()
        signal_to(root.pid_of(f"c{number}"), signum)
    after = partial(first_after, root)
    root.ears.hear(lambda: all(after("worker_ready", name, at_s) for name, at_s in begun.items()), REPLACED_S)
    return [(after("worker_hung", name, at_s), after("worker_ready", name, at_s)) for name, at_s in begun.items()]


def first_after(root: Root, event: str, name: str, at_s: float) -> float:
    """Return after how many seconds the event came; 0 if it has not."""
    later = [word["at_s"] for word in root.ears.all_of(event, child=name) if word["at_s"] > at_s]
    return min(later) - at_s if later else 0.0


def nothing_happens(root: Root, kind: str, patience_s: float) -> list[object]:
    signum, numbers = HANGS[kind]
    pid = root.pid_of(f"c{numbers[0]}")
    signal_to(pid, signum)
    replaced = root.ears.hear(lambda: root.pid_of(f"c{numbers[0]}") != pid or not runs(pid), patience_s)
    verdict = "replaced" if replaced else f"never ({patience_s:g} s waited)"
    signal_to(pid, signal.SIGKILL)
    return [root.title, kind, 1, verdict, "–", "–", verdict, "–", "–"]


if __name__ == "__main__":
    main()
