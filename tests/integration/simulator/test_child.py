"""The simulator as a child of the real supervisor: ready when it serves, progress in its beats, gone when told."""

import os
import signal
import socket
import sys
from functools import partial

import httpx
import trio

from priceverse.config.settings import Settings, Simulator
from supervisor.runtime import run
from supervisor.spec import ChildSpec, TreeSpec
from supervisor.wire import Beat

PATIENCE_S = 20.0


def tree(port: int) -> TreeSpec:
    settings = Settings(simulator=Simulator(listen_port=port, speed=10.0)).for_child()
    argv = (sys.executable, "-m", "priceverse.simulator")
    child = ChildSpec(name="simulator", argv=argv, settings=settings, beat_interval_s=0.5)
    return TreeSpec(children=(child,))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def test_it_serves_once_ready_and_exits_cleanly():
    port, events = free_port(), []
    beats, beating = trio.open_memory_channel[Beat](100)
    begin = partial(run, tree(port), on_event=events.append, on_beat=lambda _name, _pid, beat: beats.send_nowait(beat))
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            running = await nursery.start(begin)
            await running.tree.started.wait()
            async with httpx.AsyncClient() as client:
                reply = await client.get(f"http://127.0.0.1:{port}/kraken/0/public/Trades?pair=XBTUSD")
            assert len(reply.json()["result"]["XXBTZUSD"]) > 10
            while (beat := await beating.receive()).counters.get("trades", 0) < 100:
                pass
            assert beat.stats["clients"]["kraken"] == 0
            os.kill(os.getpid(), signal.SIGTERM)
    assert [(e.data["end"], e.data["expected"]) for e in events if e.name == "worker_exited"] == [("exit code 0", True)]
