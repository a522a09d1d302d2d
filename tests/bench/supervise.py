"""The benches of supervision one after the other, each in a short form: what `make bench` runs of them.

Run: `python tests/bench/supervise.py [--alone]`. The figures with their goals, and how to make them in full, stand in
`supervision/README.md`. The peers are installed once, into a throw-away environment; `--alone` leaves them out.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).with_name("supervision")
sys.path.insert(0, str(FOLDER))
LIMIT_S = 600.0
SHORT: Mapping[str, Sequence[str]] = {
    "recovery.py": ("--kills", "10", "--instance", "10"),
    "hang.py": ("--rounds", "1"),
    "orphans.py": ("--times", "5", "--instances", "1"),
    "rolling.py": ("--requests", "20000", "--small", "2000"),
    "clock.py": (),
    "stop.py": ("--rounds", "1"),
    "storm.py": ("--seconds", "60"),
}
WITHOUT_PEERS = {"stop.py", "storm.py"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", action="store_true", help="without the peers")
    alone = parser.parse_args().alone
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        if not alone:
            from stage import install

            install(Path(name))
        peers = ["--alone"] if alone else ["--peers", name]
        failed = [bench for bench, short in SHORT.items() if not run(bench, [*short, *other(bench, peers)])]
    if failed:
        print(f"\ndid not end well: {', '.join(failed)}")
    return bool(failed)


def other(bench: str, peers: Sequence[str]) -> Sequence[str]:
    return () if bench in WITHOUT_PEERS else peers


def run(bench: str, words: Sequence[str]) -> bool:
    print(f"\n== supervision/{bench} {' '.join(words)}", flush=True)
    try:
        return (
            subprocess.run([sys.executable, str(FOLDER / bench), *words], check=False, timeout=LIMIT_S).returncode == 0
        )
    except subprocess.TimeoutExpired:
        print(f"not within {LIMIT_S:g} s")
        return False


if __name__ == "__main__":
    sys.exit(main())
