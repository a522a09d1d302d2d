"""The step of building a wheel that fetches what the page takes from npm, so that an installed package has it.

setuptools reads this file by its path, before the package can be imported: hence a process of its own for `fetch.py`.
"""

import subprocess
import sys
from pathlib import Path

from setuptools.command.build_py import build_py


class BuildPy(build_py):  # type: ignore[misc] # setuptools has no types
    """Fetch, then build as ever; an editable install is fetched for by `make setup`."""

    def run(self) -> None:
        """Do both."""
        if not self.editable_mode:
            fetch = Path(__file__).with_name("fetch.py")
            subprocess.run([sys.executable, str(fetch)], check=False)  # noqa: S603 - ours; it says itself what it could not do
        super().run()
