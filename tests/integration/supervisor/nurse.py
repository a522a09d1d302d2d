"""Root processes of their own: for what only shows when the root itself dies, or is another process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from supervisor.procfs import usage

ROOT = Path(__file__).with_name("root.py")
PATIENCE_S = 60.0


class Root:
    """One root process and the events on its stdout."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self.events: list[dict[str, Any]] = []
        assert popen.stdout is not None
        self._out = trio.lowlevel.FdStream(os.dup(popen.stdout.fileno()))
        self._rest = b""

    async def see(self, event: str, **data: object) -> dict[str, Any]:
        """Read on until such an event; those before it are kept in `events`."""
        with trio.fail_after(PATIENCE_S):
            while True:
                line = await self._line()
                if line["event"] == event and all(line.get(key) == value for key, value in data.items()):
                    return line

    async def _line(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            data = await self._out.receive_some(65536)
            assert data, f"the root ended; {self.events}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        self.events.append(json.loads(line))
        return self.events[-1]

    async def close(self) -> None:
        await self._out.aclose()
        for pipe in (self.popen.stdout, self.popen.stderr):
            pipe.close()

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE_S):
            return await trio.to_thread.run_sync(self.popen.wait)

    def pids(self) -> dict[str, int]:
        return {event["child"]: event["pid"] for event in self.events if event["event"] == "worker_started"}


class Nurse:
    def __init__(self, folder: Path) -> None:
        self.control = folder / "state" / "control.sock"
        self.config = folder / "tree.json"
        self._roots: list[Root] = []

    def write(self, **wanted: Any) -> None:
        self.config.write_text(json.dumps({"children": {}} | wanted))

    def start(
        self, *, env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = (), through: Sequence[str] = ()
    ) -> Root:
        popen = subprocess.Popen(
            [*through, sys.executable, str(ROOT), str(self.control), str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | (env or {}),
            pass_fds=pass_fds,
        )
        self._roots.append(Root(popen))
        return self._roots[-1]

    async def end(self) -> None:
        for root in self._roots:
            root.popen.terminate()
            with trio.move_on_after(PATIENCE_S) as patience:
                await trio.to_thread.run_sync(root.popen.wait, abandon_on_cancel=True)
            if patience.cancelled_caught:
                root.popen.kill()
            await root.close()


async def gone(pids: set[int], within_s: float) -> None:
    """Wait until none of the processes runs; a zombie counts as gone."""
    with trio.fail_after(within_s):
        while any(seen is not None and not seen.is_zombie for seen in map(usage, pids)):  # noqa: ASYNC110 -- nobody's children
            await trio.sleep(0.01)


def interrupt(root: Root, signum: int = signal.SIGTERM) -> None:
    root.popen.send_signal(signum)
