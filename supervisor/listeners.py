"""Listening sockets: bound once by the root, or taken from systemd, and inherited by the children.

The rule: a socket outlives every child, so a restart loses no queued connection.
"""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import ListenError
from supervisor.spec import ListenerSpec

_FIRST_FD = 3  # SD_LISTEN_FDS_START
_UNIX_PATH_MAX = 107

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket from systemd: `name` is its FileDescriptorName."""

    name: str
    fd: int


def from_systemd(environ: Mapping[str, str], pid: int) -> list[Inherited]:
    """Read LISTEN_FDS; empty if they are meant for another process."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return []
    number = int(count)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (number - len(names))
    return [Inherited(name, _FIRST_FD + offset) for offset, name in enumerate(names[:number])]


def open_all(specs: Iterable[ListenerSpec], inherited: Iterable[Inherited] = ()) -> dict[str, socket.socket]:
    """Return a listening socket for each spec, an inherited one of its name or address where there is one.

    Raises ListenError saying which address cannot be had, and why.
    """
    with contextlib.ExitStack() as undo:
        given = [(each.name, undo.enter_context(socket.socket(fileno=each.fd))) for each in inherited]
        for _, sock in given:
            sock.set_inheritable(False)
        wanted = list(specs)
        if len(wanted) == len(given) == 1:  # nothing else can be meant
            given = [(wanted[0].name, given[0][1])]
        taken = {spec.name: _taken(spec, given) for spec in wanted}
        for name, sock in given:
            if sock not in taken.values():
                raise ListenError(f"no listener wants the inherited socket {name or _address(sock)}")
        sockets = {spec.name: taken[spec.name] or undo.enter_context(_bound(spec)) for spec in wanted}
        for spec in wanted:
            if spec.defer_accept_s and spec.path is None:
                sockets[spec.name].setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, spec.defer_accept_s)
        undo.pop_all()
    return sockets


def addresses(specs: Iterable[ListenerSpec], sockets: Mapping[str, socket.socket]) -> dict[str, Address]:
    """Return where each socket listens; a unix socket's port is 0."""
    paths = {spec.name: spec.path for spec in specs}
    return {name: _address(sock) if (path := paths[name]) is None else (str(path), 0) for name, sock in sockets.items()}


def _address(sock: socket.socket) -> Address:
    bound = sock.getsockname()
    return (bound, 0) if isinstance(bound, str) else (bound[0], bound[1])


def _taken(spec: ListenerSpec, given: list[tuple[str, socket.socket]]) -> socket.socket | None:
    for name, sock in given:
        wanted = (spec.host, spec.port) if spec.path is None else (str(spec.path), 0)
        if name == spec.name or _address(sock) == wanted:
            sock.setblocking(False)
            return sock
    return None


def _bound(spec: ListenerSpec) -> socket.socket:
    try:
        return _bound_unix(spec.path, spec.backlog) if spec.path is not None else _bound_tcp(spec)
    except OSError as fault:
        where = spec.path if spec.path is not None else f"{spec.host}:{spec.port}"
        raise ListenError(f"listener {spec.name}: cannot listen on {where}: {fault.strerror or fault}") from fault


def _bound_tcp(spec: ListenerSpec) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        spec.host, spec.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(spec.backlog)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield an address for a unix socket's path of any length: the kernel takes 107 bytes, directories go deeper."""
    if len(os.fsencode(path)) <= _UNIX_PATH_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _bound_unix(path: Path, backlog: int) -> socket.socket:
    """Bind beside and rename: a client never meets a socket that does not listen yet."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with reachable(fresh) as address:
            sock.bind(address)
        sock.listen(backlog)
        fresh.rename(path)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
