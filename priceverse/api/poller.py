"""Many sockets waited for by one task: what a client says is dealt with on the spot, without waking a task of its own.

trio's own waiting costs more than a call does: it arms the socket, suspends a task, resumes it and disarms the socket,
each time. Here a socket is armed once, in an epoll that is itself waited for like a socket.

The rule: a step never waits, and after a few steps everybody else has a turn.
"""

import select
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import trio

T = TypeVar("T")

MAX_STEPS = 16
"""Between two turns of all other tasks: half a millisecond's work."""


@dataclass(slots=True)
class _Watch(Generic[T]):
    """A step to be done whenever there is something to read, until it has a result."""

    step: Callable[[], T | None]
    ended: trio.Event = field(default_factory=trio.Event)
    result: T | None = None
    fault: Exception | None = None

    def do(self) -> bool:
        """Do the step; tell whether it was the last."""
        try:
            self.result = self.step()
        except Exception as fault:  # noqa: BLE001 - raised again in the task whose step it is
            self.fault = fault
        return self.result is not None or self.fault is not None


class Poller:
    """Waits for all of them. `run` it once, `watch` from any task."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch[Any]] = {}

    async def run(self) -> None:
        """Do the steps of whoever watches, for ever."""
        with self._epoll:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, _ in self._epoll.poll(0, MAX_STEPS):
                    watch = self._watches[fd]
                    if watch.do():
                        self._forget(fd)
                        watch.ended.set()

    async def watch(self, fd: int, step: Callable[[], T | None]) -> T:
        """Do `step` whenever `fd` can be read until that returns something other than None; return it.

        Raises what `step` raises. `fd` must stay open meanwhile, and nobody else may watch it.
        """
        watch = _Watch(step)
        self._watches[fd] = watch
        self._epoll.register(fd, select.EPOLLIN)
        try:
            await watch.ended.wait()
        finally:
            if not watch.ended.is_set():
                self._forget(fd)
        if watch.fault is not None:
            raise watch.fault
        assert watch.result is not None
        return watch.result

    def _forget(self, fd: int) -> None:
        del self._watches[fd]
        self._epoll.unregister(fd)
