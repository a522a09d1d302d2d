"""Many sockets waited for by one task: what a client says is dealt with on the spot, without waking a task of its own.

trio's own waiting costs more than a call does: it arms the socket, suspends a task, resumes it and disarms the socket,
each time. Here a socket is armed once, in an epoll that is itself waited for like a socket.

The rule: who hears or speaks never waits, and after a few of them everybody else has a turn.
"""

import select
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import trio

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_READY = 32
"""Between two turns of all other tasks: less than a millisecond's work. A turn costs as much as a call."""


class Talk(Protocol[T_co]):
    """One side of a conversation, by turns: both are called whenever there is something to read."""

    def hear(self, now_s: float) -> None:
        """Read, and work out what to say. `now_s` is trio's time, asked for once a turn."""
        ...

    def speak(self) -> T_co | None:
        """Say it; return what ends the watch, None to go on."""
        ...


@dataclass(slots=True)
class _Watch(Generic[T]):
    """A conversation until it has a result."""

    talk: Talk[T]
    ended: trio.Event = field(default_factory=trio.Event)
    result: T | None = None
    fault: Exception | None = None


class Poller:
    """Waits for all of them. `run` it once, `watch` from any task."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch[Any]] = {}

    async def run(self) -> None:
        """Hear and speak for whoever watches, for ever."""
        with self._epoll:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                left = MAX_READY
                while left and (ready := self._epoll.poll(0, left)):  # meanwhile more may have come
                    self._turn([fd for fd, _ in ready])
                    left -= len(ready)

    async def watch(self, fd: int, talk: Talk[T]) -> T:
        """Have `talk` hear and speak whenever `fd` can be read, until it has a result; return that.

        Raises what `talk` raises. `fd` must stay open meanwhile, and nobody else may watch it.
        """
        watch = _Watch(talk)
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

    def _turn(self, ready: list[int]) -> None:
        """Hear all, then speak to all: a neighbour on this machine is woken once for many replies."""
        watches, now_s = self._watches, trio.current_time()
        for fd in ready:
            watch = watches[fd]
            try:
                watch.talk.hear(now_s)
            except Exception as fault:  # noqa: BLE001 - raised again in the task whose conversation it is
                watch.fault = fault
        for fd in ready:
            watch = watches[fd]
            try:
                if watch.fault is None:
                    watch.result = watch.talk.speak()
            except Exception as fault:  # noqa: BLE001 - as above
                watch.fault = fault
            if watch.result is not None or watch.fault is not None:
                self._forget(fd)
                watch.ended.set()

    def _forget(self, fd: int) -> None:
        del self._watches[fd]
        self._epoll.unregister(fd)
