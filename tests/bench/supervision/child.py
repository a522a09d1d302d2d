"""The program that all supervisors of these benches supervise: it says when it is up, and may serve HTTP.

`python child.py EARS NAME [LISTENER]`: EARS is the bench's datagram socket; LISTENER a descriptor (for ours: any word)
on which it answers every request, leaving in two phases as an API of ours does. SIGUSR2 makes it loop busily.
Under a root of ours it speaks the protocol of the pipe, under any other it is an ordinary program.
"""

import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress

import trio

from supervisor.worker import Worker, run

FAREWELL_S = 0.5
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: %s\r\n\r\nup\n"


async def supervised(worker: Worker) -> None:
    listener = next(iter(worker.listeners.values()), None)
    await serve(listener, worker.stopping, worker.ready)


async def alone() -> None:
    stopping = trio.Event()
    listener = socket.socket(fileno=int(sys.argv[3])) if len(sys.argv) > 3 else None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_told, stopping)
        await serve(listener, stopping, trio.lowlevel.checkpoint)
        nursery.cancel_scope.cancel()


async def until_told(stopping: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            stopping.set()


async def serve(listener: socket.socket | None, stopping: trio.Event, ready) -> None:
    async with trio.open_nursery() as connections:
        with trio.CancelScope() as accepting:
            async with trio.open_nursery() as door:
                if listener is not None:
                    listener.setblocking(False)
                    door.start_soon(accept, trio.socket.from_stdlib_socket(listener), stopping, connections)
                await ready()
                say_up()
                await stopping.wait()
                accepting.cancel()
        if listener is not None:
            await trio.sleep(FAREWELL_S)
        connections.cancel_scope.cancel()


async def accept(listener: trio.socket.SocketType, stopping: trio.Event, connections: trio.Nursery) -> None:
    while True:
        client, _ = await listener.accept()
        connections.start_soon(answer, client, stopping)


async def answer(client: trio.socket.SocketType, stopping: trio.Event) -> None:
    """Answer requests without a body until the client or the process leaves."""
    head = b""
    with client, suppress(OSError):
        while data := await client.recv(65536):
            head += data
            while b"\r\n\r\n" in head:
                request, _, head = head.partition(b"\r\n\r\n")
                is_last = stopping.is_set() or b"connection: close" in request.lower()
                await client.send(REPLY % (b"close" if is_last else b"keep-alive"))
                if is_last:
                    client.shutdown(socket.SHUT_WR)


def say_up() -> None:
    word = {"event": "up", "child": sys.argv[2], "pid": os.getpid(), "at_s": time.monotonic()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth, suppress(OSError):  # nobody may listen any more
        mouth.sendto(json.dumps(word).encode(), sys.argv[1])


def spin(*_: object) -> None:
    while True:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, spin)
    if "SUPERVISOR_PIPE" in os.environ:
        run(supervised)
    trio.run(alone)
