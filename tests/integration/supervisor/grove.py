"""A tree of real processes inside a test's own loop, with its events to wait for, and the children to plant."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from supervisor.backoff import Backoff
from supervisor.events import Event
from supervisor.runtime import Running, run
from supervisor.spec import ChildSpec, TreeSpec

CHILD = (sys.executable, str(Path(__file__).with_name("child.py")))
PATIENCE_S = 60.0


def child(name: str = "c", manner: str = "serve", *, exits: int | None = None, **fields: Any) -> ChildSpec:
    """Describe a child of `child.py`; `with_` are its manner's arguments."""
    settings = {"manner": manner, "with": fields.pop("with_", {})} | fields.pop("settings", {})
    argv = fields.pop("argv", CHILD) if exits is None else (*CHILD, str(exits))
    return ChildSpec(name=name, argv=argv, settings=settings, **fields)


QUICK = Backoff(initial_s=0.05, max_s=0.2, reset_after_s=60)


class Grove:
    """A running tree, with every event it reported."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._news = trio.Event()
        self._announced = trio.Event()
        self.events: list[Event] = []
        self.exit_code: int | None = None
        self.ended = trio.Event()
        self.hooks: dict[str, Callable] = {}  # more arguments of `run`
        self.addresses: dict[str, tuple[str, int]] = {}
        self.running: Running

    async def plant(
        self, *children: ChildSpec, settled: bool = True, reload: Callable | None = None, **fields
    ) -> Running:
        """Run a tree and wait until it has settled."""
        spec = TreeSpec(**{"children": children, "backoff": QUICK} | fields)
        return await self.plant_tree(spec, settled=settled, reload=reload)

    async def plant_tree(self, spec: TreeSpec, *, settled: bool = True, reload: Callable | None = None) -> Running:
        self.running = await self._nursery.start(self._run, spec, reload)
        if settled:
            with trio.fail_after(PATIENCE_S):
                await self.running.tree.started.wait()
                await self._announced.wait()
        return self.running

    async def _run(self, spec: TreeSpec, reload: Callable | None, task_status: trio.TaskStatus[Running]) -> None:
        self.exit_code = await run(
            spec,
            on_event=self._note,
            on_ready=self._note_addresses,
            reload=reload,
            task_status=task_status,
            **self.hooks,
        )
        self.ended.set()

    def _note(self, event: Event) -> None:
        self.events.append(event)
        news, self._news = self._news, trio.Event()
        news.set()

    def _note_addresses(self, addresses) -> None:
        self.addresses = dict(addresses)
        self._announced.set()

    def seen(self, name: str, child: str | None = None, **data: object) -> list[Event]:
        return [
            event
            for event in self.events
            if event.name == name
            and child in (None, event.child)
            and all(event.data.get(key) == value for key, value in data.items())
        ]

    async def see(self, name: str, child: str | None = None, *, times: int = 1, **data: object) -> Event:
        """Wait for the `times`-th such event."""
        with trio.fail_after(PATIENCE_S):
            while len(found := self.seen(name, child, **data)) < times:
                await self._news.wait()
        return found[times - 1]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; looked at whenever anything changes."""
        with trio.fail_after(PATIENCE_S):
            while not holds():
                await self.running.tree.changed.wait()

    async def ask(self, name: str, method: str, **params: object) -> Any:
        return await self.running.tree.ask(self.running.tree.slots[name], method, params, timeout_s=PATIENCE_S)

    def tell(self, name: str, method: str, **params: object) -> None:
        """Ask without waiting for the answer: for questions that a child does not survive."""
        process = self.running.tree.slots[name].process
        assert process is not None
        process.tell({"t": "ask", "id": 0, "method": method, "params": params})

    def pid(self, name: str) -> int:
        process = self.running.tree.slots[name].process
        assert process is not None
        return process.pid

    def state(self, name: str) -> str:
        return self.running.tree.slots[name].life.state

    def names(self, child: str | None = None) -> list[str]:
        return [event.name for event in self.events if child in (None, event.child)]

    async def fell(self) -> int | None:
        """Stop the tree in order and return the exit code of the root."""
        self.running.tree.stop()
        with trio.fail_after(PATIENCE_S):
            await self.ended.wait()
        return self.exit_code
