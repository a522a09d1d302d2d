"""One running child: spawned here, heard here, waited for here.

Carries out what `machine` decides. The rules: a child is executed, or forked by the zygote, from the main thread only
(PR_SET_PDEATHSIG follows the parent thread, and trio's own spawning thread retires after 10 s), waiting on a pidfd, and
nothing that a child left running in its session outlives it.
"""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import trio

from supervisor import procfs, wire
from supervisor.errors import WireError
from supervisor.spec import ChildSpec, ZygoteSpec
from supervisor.zygote import Order, Zygote

_OUTBOX_FRAMES = 64
_STACKS_MAX_BYTES = 64 * 1024
_ROOT_ONLY = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", wire.PIPE_VARIABLE)  # beginnings of names

Wait = Callable[[], int]


class Process:
    """A child's process with its pipe. Use `spawn`."""

    def __init__(self, pid: int, wait: Wait, pipe: socket.socket, stacks_fd: int) -> None:
        self.pid = pid
        seen = procfs.usage(pid)
        self.started_ticks = seen.started_ticks if seen else 0
        self._wait = wait
        self._pidfd = os.pidfd_open(pid)
        self._pipe = trio.socket.from_stdlib_socket(pipe)
        self._stacks_fd = stacks_fd
        self._stacks_read = 0
        self._lines = wire.Lines(wire.TO_ROOT_MAX_BYTES)
        self._outbox, self._unsent = trio.open_memory_channel[bytes](_OUTBOX_FRAMES)

    def tell(self, word: Mapping[str, object]) -> bool:
        """Queue a frame; False if the child has stopped reading and too much waits for it."""
        try:
            self._outbox.send_nowait(wire.encode(word))
        except (trio.WouldBlock, trio.BrokenResourceError):
            return False
        return True

    async def write_forever(self) -> None:
        with contextlib.suppress(OSError):  # the child has gone: the pidfd tells
            async for frame in self._unsent:
                rest = memoryview(frame)
                while rest:
                    rest = rest[await self._pipe.send(rest) :]

    async def hear(self) -> list[wire.Heard]:
        """Return the next frames of the child, none at the end; raises WireError.

        A child that floods its pipe is heard at a bounded rate: its surplus waits in its own buffer.
        """
        while True:
            try:
                data = await self._pipe.recv(65536)
            except OSError:
                return []
            words = self._lines.feed(data)
            if words or not data:
                return [wire.heard(word) for word in words]

    def hear_rest(self) -> list[wire.Heard]:
        """Return what the child said before it ended, without waiting; a broken tail is left out."""
        raw = socket.socket(fileno=os.dup(self._pipe.fileno()))
        with raw, contextlib.suppress(BlockingIOError, OSError, WireError):
            data = raw.recv(wire.TO_ROOT_MAX_BYTES, socket.MSG_DONTWAIT)
            return [wire.heard(word) for word in self._lines.feed(data)]
        return []

    def signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signum)

    async def exited(self) -> None:
        """Wait until the process has ended; `reap` is still due."""
        await trio.lowlevel.wait_readable(self._pidfd)

    def reap(self) -> int:
        """Kill what it left in its process group, release everything, return its code (negative: the signal)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # the group id cannot be anybody else's before the wait below
        return self._wait()

    def close(self) -> None:
        self._pipe.close()
        self._outbox.close()
        os.close(self._pidfd)
        os.close(self._stacks_fd)

    def forget_stacks(self) -> None:
        """Give back the memory of what was written; whoever asks for stacks every minute would else keep them all."""
        os.ftruncate(self._stacks_fd, 0)
        self._stacks_read = 0

    def new_stacks(self) -> str:
        """Return what faulthandler has written since the last call, bounded."""
        size = os.fstat(self._stacks_fd).st_size
        start = max(self._stacks_read, size - _STACKS_MAX_BYTES)
        self._stacks_read = size
        return os.pread(self._stacks_fd, size - start, start).decode(errors="replace")


def spawn(spec: ChildSpec, listeners: Mapping[str, int], zygote: Zygote | None) -> Process:
    """Start the child in a session of its own and queue its welcome; raises OSError. Main thread only.

    `listeners` are the descriptors it inherits, by name.
    """
    with contextlib.ExitStack() as undo:
        ours, theirs = socket.socketpair()
        undo.callback(ours.close)
        with theirs:
            stacks_fd = os.memfd_create("stacks", os.MFD_CLOEXEC)
            fcntl.fcntl(stacks_fd, fcntl.F_SETFL, os.O_APPEND)
            undo.callback(os.close, stacks_fd)
            fds = (theirs.fileno(), stacks_fd, *(listeners[name] for name in spec.listeners))
            pid, wait, numbers = _fork(spec, fds, zygote) or _execute(spec, fds)
            undo.callback(wait)
            undo.callback(os.kill, pid, signal.SIGKILL)
        process = Process(pid, wait, ours, stacks_fd)
        undo.pop_all()
    process.tell(_welcome(spec, dict(zip(spec.listeners, numbers[2:], strict=True))))
    return process


def _fork(spec: ChildSpec, fds: Sequence[int], zygote: Zygote | None) -> tuple[int, Wait, Sequence[int]] | None:
    """Start it through the zygote, if it is meant to and can be."""
    if zygote is None or spec.module is None:
        return None
    forked = zygote.fork(Order(spec.module, spec.argv[3:], environment(spec)), fds)
    if forked is None:
        return None
    return forked.pid, partial(_wait, forked.pid), forked.fds


def _wait(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the zygote ended before it had a session of its own: it was ended and waited for too
        return -signal.SIGKILL


def _execute(spec: ChildSpec, fds: Sequence[int]) -> tuple[int, Wait, Sequence[int]]:
    popen = subprocess.Popen(  # noqa: S603 -- running what the tree describes is the purpose
        spec.argv,
        stdin=subprocess.DEVNULL,
        env=environment(spec) | {wire.PIPE_VARIABLE: f"{fds[0]}:{fds[1]}:{os.getpid()}"},
        pass_fds=fds,
        start_new_session=True,
    )
    return popen.pid, popen.wait, fds


def environment(spec: ChildSpec | ZygoteSpec) -> dict[str, str]:
    """Return what a process inherits of the root's environment, with what its description adds."""
    hidden = _ROOT_ONLY + spec.without_env
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return inherited | dict(spec.env)


def _welcome(spec: ChildSpec, inherited: Mapping[str, int]) -> dict[str, object]:
    return {
        "t": "welcome",
        "name": spec.name,
        "role": spec.role,
        "settings": spec.settings,
        "listeners": dict(inherited),
        "beat_interval_s": spec.beat_interval_s,
        "stop_timeout_s": spec.stop_timeout_s,
    }
