"""The zygote: one process that has imported what children import, and forks them. Quick starts, shared memory.

    root ──module, argv, environment, descriptors──▶ zygote ──fork──▶ · ──fork──▶ child (whose parent is the root)

It forks twice, and the process between ends at once: so the child falls to the root, which is a subreaper for this
moment, and is waited for there, and dies with it, like one that was executed.
The rules: the zygote has one thread, no settings and no secret; while there is none (not warm yet, killed, hung)
children are executed instead, so it is never needed; and a child that the root may not have heard of never begins.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from supervisor import wire
from supervisor.backoff import Backoff
from supervisor.errors import Code
from supervisor.events import Name
from supervisor.prctl import adopting, die_with_parent

_VARIABLE = "SUPERVISOR_ZYGOTE"  # "<socket fd>:<pid of the root>"
_MESSAGE_MAX_BYTES = 128 * 1024  # an environment, mostly
_FDS_MAX = 64
_WARM = b"warm 2"  # the number grows with any change of words: an upgrade renews the zygote before the root
_GO = b"!"
_ANSWER_S = 2.0
WARM_S = 30.0
"""So long a tree waits for its zygote before it starts."""

_AGAIN = Backoff(initial_s=0.5)


@dataclass(frozen=True, slots=True)
class Order:
    """One child: a module and its arguments as after `python -m`, and its whole environment."""

    module: str
    args: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Forked:
    """A child that runs; `fds` are the numbers under which it has the descriptors, in their order."""

    pid: int
    fds: Sequence[int]


# --- the root's side


class Zygote:
    """Keeps the process and gives it orders. Call everything from the trio thread, which must be the main thread."""

    def __init__(self, modules: Sequence[str], env: Mapping[str, str], report: Callable[..., None]) -> None:
        self.is_warm = False
        self.settled = trio.Event()  # it is warm, or the first attempt has failed
        self._modules = modules
        self._env = env
        self._report = report
        self._popen: subprocess.Popen[bytes]
        self._socket: socket.socket

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self.is_warm else None

    def fork(self, order: Order, fds: Sequence[int]) -> Forked | None:
        """Have a child forked, which takes milliseconds; None if that cannot be now."""
        if not self.is_warm:
            return None
        with adopting():
            try:
                socket.send_fds(self._socket, [json.dumps(asdict(order)).encode()], fds)
                answer = self._socket.recv(_MESSAGE_MAX_BYTES)
                self._socket.send(_GO)
            except OSError:  # it hangs, or has gone
                answer = b""
            if not answer:
                self._abandon()
        return Forked(**json.loads(answer)) if answer else None

    def renew(self) -> None:
        """Have it replaced by one that imports the code as it is now."""
        if self.is_warm:
            self.is_warm = False
            self._popen.kill()

    def _abandon(self) -> None:
        """End it with whatever it was giving birth to: all that has not begun is still in its process group."""
        self.is_warm = False
        os.killpg(self._popen.pid, signal.SIGKILL)  # not waited for yet, so the group is nobody else's
        self._popen.wait()
        with contextlib.suppress(ChildProcessError):
            while True:  # what fell to the root meanwhile
                os.waitpid(-self._popen.pid, 0)

    async def keep(self) -> None:
        """Keep one running."""
        failures = 0
        while True:
            was_warm = False
            with contextlib.suppress(OSError):  # no memory, no process left: later, perhaps
                was_warm = await self._live()
            self.settled.set()
            failures = 0 if was_warm else failures + 1
            if failures:
                await trio.sleep(_AGAIN.ceiling_s(failures))

    async def _live(self) -> bool:
        """Run one from its start to its end; return whether it got warm. Raises OSError if it cannot be started."""
        began_s = time.monotonic()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_ANSWER_S)
        with self._socket:
            with theirs:
                self._popen = self._start(theirs.fileno())
            try:
                await trio.lowlevel.wait_readable(self._socket)
                was_warm = self.is_warm = self._socket.recv(_MESSAGE_MAX_BYTES) == _WARM
                if was_warm:
                    import_s = round(time.monotonic() - began_s, 3)
                    self._report(Name.ZYGOTE_WARM, pid=self._popen.pid, import_s=import_s)
                    self.settled.set()
                    await trio.lowlevel.wait_readable(self._socket)  # it says nothing unasked: this is its end
            finally:
                self.is_warm = False
                self._popen.kill()
                self._popen.wait()
        self._report(Name.ZYGOTE_EXITED, pid=self._popen.pid, was_warm=was_warm)
        return was_warm

    def _start(self, socket_fd: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- this very module
            [sys.executable, "-m", "supervisor.zygote", *self._modules],
            stdin=subprocess.DEVNULL,
            env={**self._env, _VARIABLE: f"{socket_fd}:{os.getpid()}"},
            pass_fds=(socket_fd,),
            start_new_session=True,
        )


# --- the process's side


@dataclass(frozen=True, slots=True)
class _Birth:
    """What a forked child finds: its order, its descriptors, the root's pid."""

    order: Order
    fds: Sequence[int]
    root: int


def main() -> None:
    """Import the modules named by the arguments, then fork until the root has gone; also each child comes by here."""
    fd, root = map(int, os.environ.pop(_VARIABLE).split(":"))
    die_with_parent()
    if os.getppid() != root:
        sys.exit(Code.CRASH)
    gc.disable()  # no page of a garbage collection's making between those that will be shared
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    with socket.socket(fileno=fd) as orders:
        orders.send(_WARM)
        birth = _serve(orders, root)
    if birth is not None:
        _become(birth)


def _serve(orders: socket.socket, root: int) -> _Birth | None:
    """Fork as ordered; return None when the root has gone, and its birth in each child."""
    while True:
        words, fds, _, _ = socket.recv_fds(orders, _MESSAGE_MAX_BYTES, _FDS_MAX)
        if not words:
            return None
        parent_end, child_end = socket.socketpair()
        between = os.fork()
        if between == 0:
            parent_end.close()
            if os.fork():
                os._exit(Code.DONE)
            with child_end:
                child_end.send(b"%d" % os.getpid())
                if not child_end.recv(1):  # the zygote has died, and the root may not know of this child
                    os._exit(Code.TEMPORARY)
            return _Birth(Order(**json.loads(words)), fds, root)
        child_end.close()
        with parent_end:
            pid = int(parent_end.recv(16))
            os.waitpid(between, 0)  # from now on the root is the parent
            orders.send(json.dumps(asdict(Forked(pid, fds))).encode())
            if orders.recv(1):
                parent_end.send(_GO)
        for each in fds:
            os.close(each)


def _become(birth: _Birth) -> None:
    """Be the program that was ordered, as if it had been executed in a session of its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(birth.order.env)
    pipe_fd, stacks_fd = birth.fds[:2]
    os.environ[wire.PIPE_VARIABLE] = f"{pipe_fd}:{stacks_fd}:{birth.root}"
    _entitle(["python", "-m", birth.order.module, *birth.order.args])
    sys.argv[1:] = birth.order.args
    gc.enable()
    runpy.run_module(birth.order.module, run_name="__main__", alter_sys=True)


def _entitle(argv: Sequence[str]) -> None:
    """Show `argv` to ps(1) in the place of the zygote's own, cut to its length: see proc(5), cmdline.

    A last byte that is not null tells the kernel that the title ends at the first null instead.
    """
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    size = end - start - 2
    if size > 0:
        title = " ".join(argv).encode(errors="surrogateescape")[:size]
        ctypes.memmove(start, title.ljust(size + 1, b"\0") + b".", size + 2)


if __name__ == "__main__":
    main()
