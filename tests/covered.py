"""What the suite covers, by package: `make coverage` runs the suite and then this.

    package   statements   lines   branches   covered

The rule: 90 % of each package and of all of it, branches counted; the pure ones are to be whole, what they lack is
named.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

PURE = ("priceverse.exchanges", "priceverse.pricing", "priceverse.model", "priceverse.rpc")
LEAST = 90.0


def package(path: str) -> str:
    """Return the package of a file, two levels deep; what is not in a folder there is its own."""
    parts = Path(path).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "priceverse" else parts[0]


def covered(figures: Counter[str]) -> float:
    """Return how much of statements and branches was run, in percent."""
    possible = figures["num_statements"] + figures["num_branches"]
    return 100 * (figures["covered_lines"] + figures["covered_branches"]) / possible if possible else 100.0


def main() -> int:
    """Print the table; return 1 if something lacks too much."""
    files = json.load(sys.stdin)["files"]
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    for path, told in files.items():
        for name in (package(path), "all"):
            packages[name].update({key: value for key, value in told["summary"].items() if isinstance(value, int)})
    for name, figures in sorted(packages.items(), key=lambda item: (item[0] == "all", item[0])):
        note = "" if covered(figures) >= LEAST else f"  < {LEAST:.0f} %"
        print(  # noqa: T201 - what it is for
            f"{name:<24} {figures['num_statements']:>6} {figures['num_branches']:>6} {covered(figures):6.1f} %{note}"
        )
    for path, told in sorted(files.items()):
        lacks = [*map(str, told["missing_lines"]), *(f"{a}->{b}" for a, b in told["missing_branches"])]
        if package(path) in PURE and lacks:
            print(f"pure, not whole: {path}: {', '.join(lacks)}")  # noqa: T201 - as above
    return int(any(covered(figures) < LEAST for figures in packages.values()))


if __name__ == "__main__":
    sys.exit(main())
