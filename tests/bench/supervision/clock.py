"""The wall clock jumps: by an hour and by a day, forward and back. Nobody may be restarted for it.

Run: `python tests/bench/supervision/clock.py [--settle 8]`. Root and children run under libfaketime (Debian: `apt-get
install faketime`), which fakes the wall clock and leaves the monotonic one alone. After each jump nothing is done for
`--settle` seconds, longer than it takes to find a child silent; then a child is killed, to see that time still passes.
"""

import signal
import tempfile
import time
from pathlib import Path

from stage import Root, on_stage, options, peers, signal_to, table

JUMPS = {"+1 h": 3600, "−1 h": -3600, "+1 day": 86_400, "−1 day": -86_400}
CHILDREN = 5
BACK_S = 20.0


def main() -> None:
    arguments = options(__doc__ or "", settle=8.0)
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        print("libfaketime is missing: apt-get install faketime")
        return
    with peers(arguments) as roots:
        rows = [row for which in roots for row in measure(which, library, arguments.settle)]
    head = ["", "jump", "restarts", "kill -9 after it: back in, s"]
    table(f"Jumps of the wall clock, {CHILDREN} children", head, rows)


def measure(which: type[Root], library: Path, settle_s: float) -> list[list[object]]:
    with tempfile.TemporaryDirectory(prefix="stage-") as folder:
        dial = Path(folder) / "dial"
        turn(dial, 0)
        env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(dial),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with on_stage(which, CHILDREN, env=env) as root:
            root.ears.hear(lambda: False, 2.0)
            return [
                [which.title, name, *jump(root, dial, seconds, number, settle_s)]
                for number, (name, seconds) in enumerate(JUMPS.items())
            ]


def turn(dial: Path, seconds: int) -> None:
    """Set the fake clock that far from the true one; whole at any moment."""
    fresh = dial.with_suffix(".new")
    fresh.write_text(f"{seconds:+d}")
    fresh.rename(dial)


def jump(root: Root, dial: Path, seconds: int, number: int, settle_s: float) -> tuple[int, str]:
    """Return how many children were started because of the jump, and how long a killed one then took."""
    before = len(root.ears.all_of("up"))
    turn(dial, seconds)
    root.ears.hear(lambda: False, settle_s)
    restarts = len(root.ears.all_of("up")) - before
    name = f"c{number}"
    pid, at_s = root.pid_of(name), time.monotonic()
    signal_to(pid, signal.SIGKILL)
    is_back = root.ears.hear(lambda: root.pid_of(name) != pid, BACK_S)
    back = f"{root.ears.all_of('up', child=name)[-1]['at_s'] - at_s:.2f}" if is_back else f"not in {BACK_S:g}"
    turn(dial, 0)
    root.ears.hear(lambda: False, 2.0)
    return restarts, back


if __name__ == "__main__":
    main()
