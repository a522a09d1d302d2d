"""The child's side of the pipe: what a program needs to be supervised, and the only module it imports.

    from supervisor.worker import Worker, run

    async def main(worker: Worker) -> None:
        await worker.ready()
        await worker.stopping.wait()

    run(main)

The rule: beats are sent by the trio loop that does the work, so a loop that hangs falls silent.
Imported by every child of a tree, it imports little.
"""

import faulthandler
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from inspect import isawaitable
from typing import Any, NoReturn

import trio

from supervisor import wire
from supervisor.errors import Code, ConfigFault, Leave, Recycle, TryLater, Unavailable, UsageFault, WireError
from supervisor.prctl import die_with_parent
from supervisor.wire import JSON

__all__ = ["JSON", "ConfigFault", "Recycle", "TryLater", "Unavailable", "UsageFault", "Worker", "run"]

_OUTBOX_MAX_BYTES = 1024 * 1024
_EVENTS_MAX_BYTES = 64 * 1024  # beats and events are dropped beyond it, replies are not
_ASKS_AT_ONCE = 16
_FLUSH_S = 1.0
_TRIO = os.path.dirname(trio.__file__)  # noqa: PTH120 -- pathlib would be one more import in every child
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Main = Callable[["Worker"], Awaitable[None]]
Handler = Callable[..., Awaitable[JSON] | JSON]


def run(main: Main) -> NoReturn:
    """Run `main` on trio as a child of the supervisor, then exit; call it on the main thread, once.

    Returning exits 0. Raising `Recycle`, `UsageFault`, `ConfigFault`, `Unavailable` or `TryLater` exits with
    their code, anything else with 1 and a traceback on stderr.
    """
    pipe, stacks = _inherit()
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGUSR1, stacks)
    early: list[int] = []
    for signum in _STOP_SIGNALS:  # before the loop listens, and after it: never the default, which kills
        signal.signal(signum, lambda signum, _frame: early.append(signum))
    try:
        trio.run(_serve, main, pipe, early)
    except BaseException as fault:  # noqa: BLE001 -- the process boundary: whatever ended main becomes an exit code
        sys.exit(_exit_code(fault))
    sys.exit(Code.DONE)


def _inherit() -> tuple[socket.socket, int]:
    """Take over the inherited descriptors and make sure that this process dies with the root."""
    try:
        pipe_fd, stacks_fd, root = map(int, os.environ.pop(wire.PIPE_VARIABLE, "").split(":"))
    except ValueError:
        sys.stderr.write(f"{sys.argv[0]}: not started by the supervisor ({wire.PIPE_VARIABLE} is missing)\n")
        sys.exit(Code.USAGE)
    die_with_parent()
    if os.getppid() != root:  # it died before the line above
        os._exit(Code.CRASH)
    for fd in (pipe_fd, stacks_fd):
        os.set_inheritable(fd, False)
    return socket.socket(fileno=pipe_fd), stacks_fd


def _exit_code(fault: BaseException) -> int:
    for leaf in _leaves(fault):
        if isinstance(leaf, Leave):
            if str(leaf):
                with suppress(OSError):  # a full disk must not give the exit another meaning
                    sys.stderr.write(f"{leaf}\n")
            return leaf.code
        if isinstance(leaf, SystemExit):
            return leaf.code if isinstance(leaf.code, int) else Code.CRASH if leaf.code else Code.DONE
    traceback.print_exception(fault)
    return Code.CRASH


def _leaves(fault: BaseException) -> list[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        return [leaf for part in fault.exceptions for leaf in _leaves(part)]
    return [fault]


async def _serve(main: Main, pipe: socket.socket, early: list[int]) -> None:
    link = _Link(pipe)
    link.send({"t": "hello", "pid": os.getpid()})
    await link.write()
    worker = Worker(link, await link.welcome())
    async with trio.open_nursery() as nursery:
        await nursery.start(worker._obey_signals)  # noqa: SLF001 -- the two halves of one thing
        if early:
            worker.stopping.set()
        for task in (link.write_forever, worker._listen, worker._beat):  # noqa: SLF001 -- as above
            nursery.start_soon(task)
        await main(worker)
        with trio.move_on_after(_FLUSH_S):
            await link.flushed()
        nursery.cancel_scope.cancel()


class _Link:
    """The pipe as frames: bounded outgoing bytes, incoming objects."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = trio.socket.from_stdlib_socket(pipe)
        self._lines = wire.Lines(wire.TO_CHILD_MAX_BYTES)
        self._early: list[dict[str, Any]] = []
        self._outbox = bytearray()
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self.dropped = 0

    def send(self, word: Mapping[str, object], *, max_bytes: int = _EVENTS_MAX_BYTES) -> bool:
        """Queue a frame; False (and counted) if it is too long or too much is waiting already."""
        frame = wire.encode(word)
        if len(frame) > wire.TO_ROOT_MAX_BYTES or len(self._outbox) + len(frame) > max_bytes:
            self.dropped += 1
            return False
        self._outbox += frame
        self._filled.set()
        return True

    async def write(self) -> None:
        """Write what is queued; a gone root is noticed by the reading side."""
        try:
            while self._outbox:
                sent = await self._pipe.send(self._outbox)
                del self._outbox[:sent]
        except OSError:
            self._outbox.clear()
        self._emptied.set()

    async def write_forever(self) -> None:
        while True:
            await self._filled.wait()
            self._filled, self._emptied = trio.Event(), trio.Event()
            await self.write()

    async def flushed(self) -> None:
        while self._outbox:
            await self._emptied.wait()

    async def welcome(self) -> dict[str, Any]:
        words = await self.read()
        if not words or words[0].get("t") != "welcome":
            os._exit(Code.CRASH)  # the root died before it could greet
        self._early = words[1:]
        return words[0]

    async def read(self) -> list[dict[str, Any]]:
        """Return the next frames, at least one; none at all when the root has gone."""
        if self._early:
            early, self._early = self._early, []
            return early
        while True:
            try:
                data = await self._pipe.recv(65536)
            except OSError:
                return []
            words = self._lines.feed(data)
            if words or not data:
                return words


class Worker:
    """What a child knows of its place, and how it reports. All methods belong to the trio thread.

    `stopping` is set when the root says so (SIGTERM, `stop`, `drain`) or is gone: `main` finishes and returns.
    `keys` yields the whole set of keys owned from now on, each time the root assigns.
    """

    def __init__(self, link: _Link, welcome: Mapping[str, Any]) -> None:
        self.name: str = welcome["name"]
        self.role: str = welcome["role"]
        self.settings: Any = welcome["settings"]
        self.pid = os.getpid()
        self.listeners: dict[str, socket.socket] = {
            name: socket.socket(fileno=fd) for name, fd in welcome["listeners"].items()
        }
        self.stopping = trio.Event()
        self._assigns, self.keys = trio.open_memory_channel[frozenset[str]](64)
        self._interval_s = float(welcome["beat_interval_s"])
        self._stop_timeout_s = float(welcome["stop_timeout_s"])
        self._link = link
        self._counters: dict[str, int] = {}
        self._providers: list[Callable[[], Mapping[str, JSON]]] = []
        self._health: tuple[bool, str] = (True, "")
        self._handlers: dict[str, Handler] = {"tasks": _tasks}
        self._asks = trio.CapacityLimiter(_ASKS_AT_ONCE)
        self._is_ready = False
        for listener in self.listeners.values():
            listener.set_inheritable(False)

    async def ready(self) -> None:
        """Tell the root that this child serves; those of a later order start now."""
        self._is_ready = True
        self._tell_ready()
        await self._link.flushed()

    def count(self, name: str, n: int = 1) -> None:
        """Add to a progress counter; each beat carries the sums since the process began."""
        self._counters[name] = self._counters.get(name, 0) + n

    def provide(self, fn: Callable[[], Mapping[str, JSON]]) -> None:
        """Merge `fn()` into each beat's stats; it runs in the loop, so it must be cheap.

        `saturation` (0 to 1), `queue`, `latency_mean_s`, `latency_p99_s`, `requests` and `errors` (sums) steer pools.
        """
        self._providers.append(fn)

    def health(self, healthy: bool, reason: str = "") -> None:
        """Say how this child finds itself; unhealthy three times in a row (10 s apart) gets it replaced."""
        self._health = (healthy, reason)

    def emit(self, event: str, **data: JSON) -> None:
        """Send an event line to the root; dropped, and counted, when the pipe is full."""
        self._link.send({"t": "event", "event": event, "data": data})

    def on_ask(self, method: str, handler: Handler) -> None:
        """Answer calls of the root and of `ctl` by `handler(**params)`, awaited if it is async."""
        self._handlers[method] = handler
        if self._is_ready:
            self._tell_ready()

    async def assigned(self, keys: frozenset[str]) -> None:
        """Confirm that from now on exactly `keys` are worked on: what was dropped may go to its next owner."""
        self._link.send({"t": "assigned", "keys": sorted(keys)}, max_bytes=_OUTBOX_MAX_BYTES)
        await self._link.flushed()

    def _tell_ready(self) -> None:
        self._link.send({"t": "ready", "methods": sorted(self._handlers)}, max_bytes=_OUTBOX_MAX_BYTES)

    async def _obey_signals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(*_STOP_SIGNALS) as signals:
            task_status.started()
            async for _ in signals:
                self.stopping.set()

    async def _listen(self) -> None:
        async with trio.open_nursery() as nursery:
            while words := await self._link.read():
                for word in words:
                    self._obey(word, nursery)
            self.stopping.set()
            await trio.sleep(self._stop_timeout_s)
            os._exit(Code.CRASH)  # the root is gone, and main does not come to an end

    def _obey(self, word: Mapping[str, Any], nursery: trio.Nursery) -> None:
        match word.get("t"):
            case "stop" | "drain":
                self.stopping.set()
            case "assign":
                self._assigns.send_nowait(frozenset(word["keys"]))
            case "ask":
                nursery.start_soon(self._answer, word)
            case other:
                raise WireError(f"the root said {other!r}")

    async def _answer(self, word: Mapping[str, Any]) -> None:
        reply: dict[str, object] = {"t": "reply", "id": word["id"]}
        async with self._asks:
            try:
                answer = self._handlers[word["method"]](**word["params"])
                reply["result"] = await answer if isawaitable(answer) else answer
                sent = self._link.send(reply, max_bytes=_OUTBOX_MAX_BYTES)
            except Exception as fault:  # noqa: BLE001 -- the ask boundary: a question must not end the child
                sent = self._link.send({**reply, "result": None, "error": f"{type(fault).__name__}: {fault}"})
        if not sent:
            self._link.send({"t": "reply", "id": word["id"], "result": None, "error": "the reply is too long"})

    async def _beat(self) -> None:
        used_s, at_s = time.thread_time(), trio.current_time()
        due_s = at_s
        while True:
            due_s = max(due_s + self._interval_s, trio.current_time())
            await trio.sleep_until(due_s)
            now_s, now_used_s = trio.current_time(), time.thread_time()
            busy = (now_used_s - used_s) / max(now_s - at_s, 1e-9)
            self._send_beat(busy=round(busy, 4), lag_s=round(now_s - due_s, 6))
            used_s, at_s = now_used_s, now_s

    def _send_beat(self, *, busy: float, lag_s: float) -> None:
        stats: dict[str, JSON] = {}
        for provider in self._providers:
            stats.update(provider())
        healthy, reason = self._health
        self._link.send(
            {
                "t": "beat",
                "counters": self._counters,
                "stats": stats,
                "healthy": healthy,
                "reason": reason,
                "busy": busy,
                "lag_s": lag_s,
                "dropped": self._link.dropped,
            }
        )


def _tasks() -> JSON:
    """Describe the trio tasks: what each awaits, innermost last."""
    root = trio.lowlevel.current_root_task()
    return [] if root is None else _described(root, 0)


def _described(task: trio.lowlevel.Task, depth: int) -> list[Any]:
    where = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in task.iter_await_frames()
        if not frame.f_code.co_filename.startswith(_TRIO)
    ]
    described: list[Any] = [{"depth": depth, "task": task.name, "at": where[-6:]}] if where else []
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            described += _described(child, depth + 1)
    return described
