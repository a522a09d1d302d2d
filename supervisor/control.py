"""The control socket: who asks, what was asked, one JSON line each way.

    request   {"command": "status", "args": {}}
    reply     {"version": 1, "ok": true, "result": …}   or   {"version": 1, "ok": false, "error": "…", "code": 2}

The rules: static dispatch over the declared commands, bounded frames, clients and patience, the peer identified by the
kernel; the superuser and the root's own user may change things, anybody else whom the socket's mode lets in may look.
"""

import contextlib
import json
import os
import shutil
import socket
import stat
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from supervisor.commands import BY_NAME, VERSION, Command, checked
from supervisor.errors import AlreadyRunning, Code, ControlError, ListenError, SpecError
from supervisor.events import Name
from supervisor.listeners import reachable

REQUEST_MAX_BYTES = 64 * 1024
CLIENTS_MAX = 16
IDLE_S = 5.0
SEND_S = 5.0
MODE = 0o660

Answer = Callable[[Mapping[str, Any]], Awaitable[object]]
Stream = Callable[[Mapping[str, Any]], AsyncGenerator[object, None]]
Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Peer:
    pid: int
    uid: int
    gid: int

    @property
    def may_change(self) -> bool:
        return self.uid in (0, os.geteuid())


class Control:
    """The server. `answers` and `streams` must cover every command that is not local."""

    def __init__(self, answers: Mapping[str, Answer], streams: Mapping[str, Stream], report: Report) -> None:
        self._answers = answers
        self._streams = streams
        self._report = report
        self._clients = 0

    async def serve(self, sock: socket.socket) -> None:
        """Accept clients for ever; one that is refused or errs disturbs no other."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        await trio.serve_listeners(self._greet, [listener])

    async def _greet(self, stream: trio.SocketStream) -> None:
        self._clients += 1
        try:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if self._clients > CLIENTS_MAX:
                    await _send(stream, _refusal(ControlError("too many clients", Code.TEMPORARY)))
                else:
                    await self._converse(stream)
        finally:
            self._clients -= 1
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        peer, requests = _peer(stream), _Requests(stream)
        while True:
            try:
                line = await requests.next()
                if line is None:
                    return
                command, args = _parsed(line)
            except ControlError as fault:
                await _send(stream, _refusal(fault))
                return
            await self._obey(stream, requests, peer, command, args)
            if command.waits:  # its end is the end of the conversation
                return

    async def _obey(
        self, stream: trio.SocketStream, requests: "_Requests", peer: Peer, command: Command, args: dict[str, Any]
    ) -> None:
        try:
            values = checked(command, args)
            self._admit(peer, command, values)
            if command.waits:
                await self._while_connected(stream, requests, command, values)
            else:
                await self._reply(stream, command, values)
        except ControlError as fault:
            await _send(stream, _refusal(fault))

    def _admit(self, peer: Peer, command: Command, args: Mapping[str, Any]) -> None:
        if not command.changes or args.get("dry_run"):
            return
        who = {"uid": peer.uid, "peer_pid": peer.pid, "command": command.name, "args": dict(args)}
        if not peer.may_change:
            self._report(Name.CONTROL_DENIED, **who)
            raise ControlError(f"{command.name} is not allowed for uid {peer.uid}", Code.DENIED)
        self._report(Name.CONTROL_CHANGE, **who)

    async def _while_connected(
        self, stream: trio.SocketStream, requests: "_Requests", command: Command, args: Mapping[str, Any]
    ) -> None:
        """Carry out what may take for ever, until the client hangs up."""
        failed: list[ControlError | trio.BrokenResourceError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(requests.hung_up, nursery.cancel_scope)
            try:
                await self._reply(stream, command, args)
            except (ControlError, trio.BrokenResourceError) as fault:  # raised outside the nursery, which would wrap it
                failed.append(fault)
            nursery.cancel_scope.cancel()
        if failed:
            raise failed[0]

    async def _reply(self, stream: trio.SocketStream, command: Command, args: Mapping[str, Any]) -> None:
        try:
            if command.streams:
                await self._stream(stream, command, args)
            else:
                await _send(stream, _granted(await self._answers[command.name](args)))
        except (ControlError, trio.BrokenResourceError):
            raise
        except Exception as fault:  # the control boundary: a question must not end the tree
            self._report(Name.CONTROL_FAILED, command=command.name, fault=repr(fault))
            raise ControlError(f"{command.name} failed: {fault!r}", Code.SOFTWARE) from fault

    async def _stream(self, stream: trio.SocketStream, command: Command, args: Mapping[str, Any]) -> None:
        async with contextlib.aclosing(self._streams[command.name](args)) as results:
            async for result in results:
                await _send(stream, _granted(result))


class _Requests:
    """Lines of one client, bounded in length and in patience."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> bytes | None:
        """Return one request, or None at the end; raises ControlError for a long or slow one."""
        with trio.move_on_after(IDLE_S) as idle:
            while b"\n" not in self._rest:
                if len(self._rest) > REQUEST_MAX_BYTES:
                    raise ControlError(f"the request is longer than {REQUEST_MAX_BYTES} bytes")
                data = await self._stream.receive_some(65536)
                if not data:
                    return self._take(len(self._rest)) or None  # a last line need not end in a newline
                self._rest += data
        if idle.cancelled_caught:
            if not self._rest:
                return None
            raise ControlError(f"no complete request within {IDLE_S:g} s", Code.TEMPORARY)
        if self._rest.index(b"\n") > REQUEST_MAX_BYTES:
            raise ControlError(f"the request is longer than {REQUEST_MAX_BYTES} bytes")
        return self._take(self._rest.index(b"\n") + 1)

    async def hung_up(self, scope: trio.CancelScope) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(4096):
                pass  # it has nothing to say now
        scope.cancel()

    def _take(self, length: int) -> bytes:
        line, self._rest = self._rest[:length], self._rest[length:]
        return line


def _parsed(line: bytes) -> tuple[Command, dict[str, Any]]:
    try:
        request = json.loads(line)
        name, args = request["command"], request.get("args", {})
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise ControlError('not a request: {"command": …, "args": {…}} on one line is wanted') from None
    command = BY_NAME.get(name) if isinstance(name, str) else None
    if command is None or command.local or not isinstance(args, dict):
        raise ControlError(f"unknown command {str(name)[:80]!r}")
    return command, args


def _granted(result: object) -> dict[str, object]:
    return {"version": VERSION, "ok": True, "result": result}


def _refusal(fault: ControlError) -> dict[str, object]:
    return {"version": VERSION, "ok": False, "error": str(fault), "code": int(fault.code)}


async def _send(stream: trio.SocketStream, reply: Mapping[str, object]) -> None:
    """Send one line; a client that does not read is dropped."""
    with trio.move_on_after(SEND_S) as patience:
        await stream.send_all(json.dumps(reply, default=str).encode() + b"\n")
    if patience.cancelled_caught:
        raise trio.BrokenResourceError("the client does not read")


def _peer(stream: trio.SocketStream) -> Peer:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", raw))


@contextlib.contextmanager
def bound(path: Path, group: str | None) -> Iterator[socket.socket]:
    """Bind the control socket; a stale one is replaced, one that answers raises AlreadyRunning."""
    _refuse_if_answering(path)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            with reachable(fresh) as address:
                sock.bind(address)
            fresh.chmod(MODE)
            _give_to(fresh, group)
            sock.listen(CLIENTS_MAX * 2)
            fresh.rename(path)  # a client never meets a socket that does not listen yet
        except OSError as fault:
            raise ListenError(f"cannot listen on {path}: {fault.strerror or fault}") from fault
        finally:
            fresh.unlink(missing_ok=True)
        sock.setblocking(False)
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


def _refuse_if_answering(path: Path) -> None:
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ListenError(f"{path} is in the way: it is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, reachable(path) as address:
        probe.settimeout(1.0)
        with contextlib.suppress(OSError):
            probe.connect(address)
            raise AlreadyRunning(f"another program answers on {path}")


def _give_to(path: Path, group: str | None) -> None:
    if group is not None:
        try:
            shutil.chown(path, group=group)
        except (LookupError, PermissionError) as fault:
            allowed = f"a group that exists and that this user belongs to ({fault})"
            raise SpecError("tree: control_group", group, allowed) from fault
