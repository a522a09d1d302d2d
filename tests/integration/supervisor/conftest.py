"""A tree of real processes inside the test's own loop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.integration.supervisor.grove import PATIENCE_S, Grove
from tests.integration.supervisor.nurse import Nurse


@pytest.fixture
async def grove() -> AsyncIterator[Grove]:
    async with trio.open_nursery() as nursery:
        planted = Grove(nursery)
        yield planted
        if hasattr(planted, "running") and not planted.ended.is_set():
            planted.running.tree.kill()
            with trio.fail_after(PATIENCE_S):
                await planted.ended.wait()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children import the supervisor whether or not it is installed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
async def nurse(tmp_path: Path) -> AsyncIterator[Nurse]:
    """Start root processes on one state directory; none outlives the test."""
    at_work = Nurse(tmp_path)
    yield at_work
    await at_work.end()
