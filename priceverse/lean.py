"""Imports without their optional extras: a dozen processes would each pay megabytes for colours that they never print.

structlog and httpx import a terminal library wherever one is installed; ours is there for the command line.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Hide modules that are not loaded yet from the imports in the block, as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None is the import system's "not there"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
