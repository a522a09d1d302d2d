"""The step of building a wheel that fetches what the page takes from npm, so that an installed package has it."""

from setuptools.command.build_py import build_py

from priceverse.web import fetch


class BuildPy(build_py):  # type: ignore[misc] # setuptools has no types
    """Fetch, then build as ever; an editable install is fetched for by `make setup`."""

    def run(self) -> None:
        """Do both."""
        if not self.editable_mode:
            fetch.main([])
        super().run()
