"""What each control command does: the server's side of `commands`.

Between the socket (`control`) and the running `tree` and `fleet`. The rule: a command states what is wanted and waits
for it; it never reaches round the state table.
"""

import contextlib
import os
import platform
import signal
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from supervisor import views
from supervisor.control import Answer, Stream
from supervisor.errors import Code, ControlError
from supervisor.events import Event
from supervisor.fleet import Fleet
from supervisor.machine import Kind, State
from supervisor.tree import Slot, Tree

ASK_S = 5.0
STACK_S = 1.0
_KEPT_EVENTS = 256
_FOLLOWER_EVENTS = 1024
_SERVING = {State.READY, State.DONE}

Reload = Callable[[bool], Awaitable[Mapping[str, object]]]
Wait = Callable[[Sequence[Slot]], Awaitable[None]]


class History:
    """The latest events, and whoever follows them. A follower that lags loses events, and learns how many."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=_KEPT_EVENTS)
        self._followers: dict[trio.MemorySendChannel[Event], int] = {}

    def add(self, event: Event) -> None:
        self._kept.append(event)
        for channel in self._followers:
            try:
                channel.send_nowait(event)
            except trio.WouldBlock:
                self._followers[channel] += 1

    async def show(self, args: Mapping[str, Any]) -> AsyncGenerator[object, None]:
        """Yield the kept events, then, if `follow`, those that happen."""
        send, receive = trio.open_memory_channel[Event](_FOLLOWER_EVENTS)
        if args["follow"]:
            self._followers[send] = 0
        try:
            for event in list(self._kept):
                yield _shown(event.as_json())
            while args["follow"]:
                yield _shown((await receive.receive()).as_json())
                lost, self._followers[send] = self._followers[send], 0
                if lost:
                    yield _shown({"event": "events_lost", "level": "warning", "lost": lost})
        finally:
            self._followers.pop(send, None)


@dataclass(frozen=True, slots=True)
class Answers:
    """The commands of one running tree."""

    tree: Tree
    fleet: Fleet
    history: History
    program: str
    reload_tree: Reload

    def answers(self) -> dict[str, Answer]:
        """Return the static dispatch table."""
        return {
            "status": self.status,
            "inspect": self.inspect,
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "scale": self.scale,
            "autoscale explain": self.explain,
            "reload": self.reload,
            "drain": self.drain,
            "reset-failed": self.reset,
            "stack": self.stack,
            "log-level": self.log_level,
            "streams": self.streams,
            "breakers": self.breakers,
            "wait": self.wait,
            "shutdown": self.shutdown,
            "version": self.version,
        }

    def streaming(self) -> dict[str, Stream]:
        return {"events": self.history.show}

    # --- looking

    async def status(self, _args: Mapping[str, Any]) -> object:
        return views.status(self.tree, self.fleet)

    async def inspect(self, args: Mapping[str, Any]) -> object:
        return views.child_in_full(self._child(args["child"]), self.fleet)

    async def explain(self, args: Mapping[str, Any]) -> object:
        names = [args["pool"]] if args["pool"] else list(self.fleet.pools)
        for name in names:
            self._require_pool(name)
        return {"version": 1, "pools": [views.autoscale(self.fleet.pools[name]) for name in names]}

    async def streams(self, _args: Mapping[str, Any]) -> object:
        return {"version": 1, "children": await self._ask_all("streams")}

    async def breakers(self, _args: Mapping[str, Any]) -> object:
        circuits = [{"child": name, "open": self.fleet.vitals.is_open(name)} for name in self.tree.slots]
        return {"version": 1, "supervisor": circuits, "children": await self._ask_all("breakers")}

    async def version(self, _args: Mapping[str, Any]) -> object:
        return {"version": 1, "program": self.program, "python": platform.python_version(), "pid": os.getpid()}

    async def stack(self, args: Mapping[str, Any]) -> object:
        """Return the threads' stacks, also of a loop that hangs, and the trio tasks if the loop answers."""
        slot = self._child(args["child"])
        child = slot.process
        if child is None or not slot.is_greeted:
            raise ControlError(f"{slot.spec.name} is not running", code=3)
        child.forget_stacks()
        child.signal(signal.SIGUSR1)
        threads = ""
        with trio.move_on_after(STACK_S):
            while not threads.endswith("\n") and slot.process is child:
                await trio.sleep(0.02)  # faulthandler writes from its signal handler: there is nothing to wait for
                threads += child.new_stacks() if slot.process is child else ""
        try:
            tasks = await self.tree.ask(slot, "tasks", timeout_s=STACK_S)
        except ControlError:
            tasks = None
        return {"version": 1, "child": slot.spec.name, "pid": child.pid, "threads": threads, "tasks": tasks}

    # --- changing

    async def start(self, args: Mapping[str, Any]) -> object:
        return await self._in_order(args, Kind.WANT, self._until_serving)

    async def stop(self, args: Mapping[str, Any]) -> object:
        return await self._in_order(args, Kind.UNWANT, self._until_gone, last_first=True)

    async def drain(self, args: Mapping[str, Any]) -> object:
        return await self._in_order(args, Kind.DRAIN, self._until_gone, last_first=True)

    async def _in_order(
        self, args: Mapping[str, Any], kind: Kind, wait: Wait, *, last_first: bool = False
    ) -> dict[str, object]:
        """Apply `kind` to the target, one start order after the other, each awaited before the next."""
        slots = self._slots(args["target"])
        with _deadline(args["timeout"], f"{kind} {args['target']}"):
            for order in sorted({slot.spec.order for slot in slots}, reverse=last_first):
                side_by_side = [slot for slot in slots if slot.spec.order == order]
                for slot in side_by_side:
                    self.tree.apply(slot.spec.name, kind, reason="asked for")
                await wait(side_by_side)
        return _named(slots)

    async def reset(self, args: Mapping[str, Any]) -> object:
        slots = self._slots(args["target"])
        for slot in slots:
            self.tree.apply(slot.spec.name, Kind.RESET, reason="asked for")
        return _named(slots)

    async def restart(self, args: Mapping[str, Any]) -> object:
        if args["rolling"]:
            with _deadline(args["timeout"], f"rolling restart of {args['target']}"):
                return await self._roll(args["target"])
        spawns = {slot.spec.name: slot.spawns for slot in self._slots(args["target"])}

        async def renewed(side_by_side: Sequence[Slot]) -> None:
            await self._until_serving(side_by_side, spawns)

        return await self._in_order(args, Kind.RENEW, renewed)

    async def _roll(self, target: str) -> object:
        slots, renewed = self._slots(target), list[str]()
        for pool in dict.fromkeys(slot.spec.pool for slot in slots if slot.spec.pool is not None):
            only = target if target in self.tree.slots else ""
            renewed += await self.fleet.roll(pool, reason="rolling restart", only=only)
        for slot in (slot for slot in slots if slot.spec.pool is None):
            spawns = {slot.spec.name: slot.spawns}
            self.tree.apply(slot.spec.name, Kind.RENEW, reason="rolling restart")
            await self._until_serving([slot], spawns)
            renewed.append(slot.spec.name)
        return {"version": 1, "children": renewed}

    async def scale(self, args: Mapping[str, Any]) -> object:
        self._require_pool(args["pool"])
        before = self.fleet.pools[args["pool"]].size
        self.fleet.hold(args["pool"], args["size"])
        return {"version": 1, "pool": args["pool"], "before": before, "size": self.fleet.pools[args["pool"]].size}

    async def reload(self, args: Mapping[str, Any]) -> object:
        return {"version": 1, **await self.reload_tree(args["dry_run"])}

    async def log_level(self, args: Mapping[str, Any]) -> object:
        slots = [slot for slot in self._slots(args["target"]) if "log_level" in slot.methods]
        if not slots:
            raise ControlError(f"{args['target']} does not answer log_level", code=3)
        for slot in slots:
            await self.tree.ask(slot, "log_level", {"level": args["level"]}, timeout_s=ASK_S)
        return {"version": 1, "level": args["level"], "children": [slot.spec.name for slot in slots]}

    async def shutdown(self, _args: Mapping[str, Any]) -> object:
        self.tree.stop()
        return {"version": 1, "stopping": True}

    # --- waiting

    async def wait(self, args: Mapping[str, Any]) -> object:
        wanted = {"ready": self._all_serving, "healthy": self._all_healthy, "stopped": self._all_gone}[args["for"]]
        with _deadline(args["timeout"], f"waiting for {args['for']}"):
            while not wanted():
                await self.tree.changed.wait()
        return views.status(self.tree, self.fleet)

    def _all_serving(self) -> bool:
        wanted = [slot for slot in self.tree.slots.values() if slot.life.wanted]
        return self.tree.is_started and all(slot.life.state in _SERVING for slot in wanted)

    def _all_healthy(self) -> bool:
        beats = (slot.beat for slot in self.tree.slots.values() if slot.life.state is State.READY)
        return self._all_serving() and all(beat is not None and beat.healthy for beat in beats)

    def _all_gone(self) -> bool:
        return not any(slot.life.has_process for slot in self.tree.slots.values())

    async def _until_serving(self, slots: Sequence[Slot], after: Mapping[str, int] | None = None) -> None:
        """Wait until each that stays is ready, by a process later than `after` spawns.

        Raises ControlError if one is given up, or stopped by somebody else.
        """
        spawns = after or {}
        while late := [
            slot for slot in slots if self._stays(slot) and not _serves(slot, spawns.get(slot.spec.name, 0))
        ]:
            for slot in late:
                if slot.life.state is State.FATAL or not slot.life.wanted:
                    raise ControlError(f"{slot.spec.name} is {slot.life.state}: {slot.life.reason}", code=3)
            await self.tree.changed.wait()

    def _stays(self, slot: Slot) -> bool:
        return self.tree.slots.get(slot.spec.name) is slot and not slot.is_retiring

    async def _until_gone(self, slots: Sequence[Slot]) -> None:
        while any(slot.life.has_process for slot in slots):
            await self.tree.changed.wait()

    # --- targets

    def _slots(self, target: str) -> list[Slot]:
        if target == "all":
            return list(self.tree.slots.values())
        if target in self.fleet.pools:
            return self.fleet.members(self.fleet.pools[target])
        return [self._child(target)]

    def _child(self, name: str) -> Slot:
        if name not in self.tree.slots:
            known = ", ".join([*self.tree.slots, *self.fleet.pools])
            raise ControlError(f"there is no {name!r}; there are: {known}")
        return self.tree.slots[name]

    def _require_pool(self, name: str) -> None:
        if name not in self.fleet.pools:
            raise ControlError(f"there is no pool {name!r}; there are: {', '.join(self.fleet.pools) or 'none'}")

    async def _ask_all(self, method: str) -> list[dict[str, object]]:
        """Ask every child that knows the method, side by side; one that errs is shown with its error."""
        replies: dict[str, dict[str, object]] = {}

        async def ask(slot: Slot) -> None:
            try:
                replies[slot.spec.name] = {"result": await self.tree.ask(slot, method, timeout_s=ASK_S)}
            except ControlError as fault:
                replies[slot.spec.name] = {"error": str(fault)}

        async with trio.open_nursery() as nursery:
            for slot in self.tree.slots.values():
                if method in slot.methods:
                    nursery.start_soon(ask, slot)
        return [{"child": name, **replies[name]} for name in sorted(replies)]


def _shown(event: Mapping[str, object]) -> dict[str, object]:
    first = {"version": 1}
    return first | dict(event) | first  # as in the event itself: no data of a child's may hide it


def _named(slots: Sequence[Slot]) -> dict[str, object]:
    return {"version": 1, "children": [slot.spec.name for slot in slots]}


def _serves(slot: Slot, after: int) -> bool:
    return slot.spawns > after and slot.life.state in _SERVING


@contextlib.contextmanager
def _deadline(seconds: float, what: str) -> Iterator[None]:
    """Turn a timeout into the ControlError that a client understands."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise ControlError(f"{what}: not within {seconds:g} s", Code.TEMPORARY)
