"""A child for the tests: behaves as its settings say, and misbehaves when asked to."""

import functools
import os
import signal
import subprocess
import sys
import time

import trio

from supervisor.errors import ConfigFault, Unavailable
from supervisor.worker import Worker, run


def main() -> None:
    if len(sys.argv) > 1:  # before any word with the root
        sys.exit(int(sys.argv[1]))
    run(serve)


async def serve(worker: Worker) -> None:
    settings = worker.settings or {}
    await MANNERS[settings.get("manner", "serve")](worker, **settings.get("with", {}))


async def plain(worker: Worker, *, mute: bool = False) -> None:
    worker.on_ask("crash", lambda code=1: os._exit(code))
    worker.on_ask("hang", hang)
    worker.on_ask("echo", lambda **words: words)
    worker.on_ask("pid", lambda: worker.pid)
    worker.on_ask("env", lambda: dict(os.environ))
    worker.on_ask("settings", lambda: worker.settings)
    worker.on_ask("health", lambda healthy, reason="": worker.health(healthy, reason))
    worker.on_ask("eat", lambda size: eaten.append(bytearray(os.urandom(1) * size)))
    worker.on_ask("log_level", lambda level: level)
    worker.on_ask("streams", lambda: {"lag": 0})
    worker.on_ask("stat", lambda **stats: worker.provide(lambda: stats))
    worker.on_ask("say", worker._link.send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own, worker)
        for listener in worker.listeners.values():
            nursery.start_soon(answer, worker, listener)
        if not mute:
            await worker.ready()
        await worker.stopping.wait()
        worker.emit("left", pid=worker.pid)
        nursery.cancel_scope.cancel()


def hang() -> None:
    while True:
        time.sleep(0.01)


eaten: list[bytearray] = []


async def own(worker: Worker) -> None:
    async for keys in worker.keys:
        worker.emit("owns", keys=sorted(keys))
        await worker.assigned(keys)


async def answer(worker: Worker, listener) -> None:
    """Answer each connection with the pid; two-phase: what is accepted is finished when the worker stops."""
    sock = trio.socket.from_stdlib_socket(listener)
    while True:
        conn, _ = await sock.accept()
        with trio.CancelScope(shield=True), conn:
            with trio.move_on_after(5):
                await conn.recv(100)
                await conn.send(b"%d\n" % worker.pid)


async def adaptable(worker: Worker) -> None:
    def take(settings: object, dry_run: bool) -> bool:
        if not dry_run:
            worker.settings = settings
        return True

    worker.on_ask("reload", take)
    await plain(worker)


async def deaf(worker: Worker) -> None:
    await worker.ready()
    await worker.stopping.wait()


async def stubborn(worker: Worker) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await worker.ready()
    await trio.sleep_forever()


async def forking(worker: Worker) -> None:
    grandchild = subprocess.Popen(["sleep", "1000"])  # noqa: ASYNC220 -- as careless as real children are
    worker.emit("forked", pid=grandchild.pid)
    await plain(worker)


async def leave(_worker: Worker, *, fault: str, message: str) -> None:
    raise {"config": ConfigFault, "unavailable": Unavailable}[fault](message)


async def raises(_worker: Worker) -> None:
    raise RuntimeError("out of luck")


async def flood(worker: Worker, *, valid: bool) -> None:
    await worker.ready()
    pipe = worker._link._pipe
    junk = b'{"t":"event","event":"noise","data":{}}\n' * 100 if valid else b"x" * 65536
    while not worker.stopping.is_set():
        await pipe.send(junk)


MANNERS = {
    "serve": plain,
    "mute": functools.partial(plain, mute=True),
    "stubborn": stubborn,
    "deaf": deaf,
    "adaptable": adaptable,
    "forking": forking,
    "leave": leave,
    "raises": raises,
    "flood": flood,
    "done": lambda worker: worker.ready(),
}

if __name__ == "__main__":
    main()
