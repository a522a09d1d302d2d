"""The child's side alone: this test is its root."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.integration.supervisor.grove import CHILD

WELCOME = {"t": "welcome", "name": "c", "role": "r", "settings": None, "listeners": {}, "beat_interval_s": 0.05,
           "stop_timeout_s": 0.5}  # fmt: skip


class Held:
    """One child on a pipe of our own."""

    def __init__(self, popen: subprocess.Popen[bytes], pipe: socket.socket, stacks: int) -> None:
        self.popen, self.stacks = popen, stacks
        self.pipe = trio.SocketStream(trio.socket.from_stdlib_socket(pipe))
        self._rest = b""

    async def say(self, word: dict) -> None:
        await self.pipe.send_all(json.dumps(word).encode() + b"\n")

    async def hear(self, kind: str) -> dict:
        """Return the next frame of a kind."""
        with trio.fail_after(15):
            while True:
                while b"\n" not in self._rest:
                    data = await self.pipe.receive_some(65536)
                    assert data, "it hung up"
                    self._rest += data
                line, _, self._rest = self._rest.partition(b"\n")
                word = json.loads(line)
                if word["t"] == kind:
                    return word

    async def ask(self, method: str, **params) -> dict:
        await self.say({"t": "ask", "id": 7, "method": method, "params": params})
        return await self.hear("reply")

    async def ended(self) -> int:
        with trio.fail_after(15):
            return await trio.to_thread.run_sync(self.popen.wait)


@pytest.fixture
async def hold() -> AsyncIterator:
    held: list[Held] = []

    def start(*, root: int | None = None) -> Held:
        ours, theirs = socket.socketpair()
        stacks = os.memfd_create("stacks")
        variable = f"{theirs.fileno()}:{stacks}:{os.getpid() if root is None else root}"
        popen = subprocess.Popen(CHILD, env=os.environ | {"SUPERVISOR_PIPE": variable},
                                 pass_fds=(theirs.fileno(), stacks), stderr=subprocess.PIPE)  # fmt: skip
        theirs.close()
        held.append(Held(popen, ours, stacks))
        return held[-1]

    yield start
    for each in held:
        each.popen.kill()
        each.popen.communicate()
        os.close(each.stacks)
        await each.pipe.aclose()


async def greeted(hold, **welcome) -> Held:
    child = hold()
    assert (await child.hear("hello"))["pid"] == child.popen.pid
    await child.say(WELCOME | welcome)
    await child.hear("ready")
    return child


async def test_beats_carry_counters_stats_and_health(hold):
    child = await greeted(hold)
    await child.ask("stat", saturation=0.5)
    await child.ask("health", healthy=False, reason="deaf")
    await child.hear("beat")
    beat = await child.hear("beat")
    assert (beat["stats"], beat["healthy"], beat["reason"]) == ({"saturation": 0.5}, False, "deaf")
    assert beat["busy"] >= 0
    assert beat["lag_s"] >= 0


async def test_the_end_of_the_pipe_ends_the_child(hold):
    child = await greeted(hold)
    await child.pipe.aclose()
    assert await child.ended() == 0


async def test_a_child_that_does_not_come_to_an_end_without_its_root_is_ended(hold):
    child = hold()
    await child.hear("hello")
    await child.say(WELCOME | {"settings": {"manner": "stubborn"}})
    await child.hear("ready")
    await child.pipe.aclose()
    assert await child.ended() == 1


@pytest.mark.parametrize("word", ["stop", "drain"])
async def test_the_root_asks_it_to_finish(hold, word):
    child = await greeted(hold)
    await child.say({"t": word})
    assert (await child.hear("event"))["event"] == "left"
    assert await child.ended() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_it_to_finish_and_a_second_one_does_no_harm(hold, signum):
    child = await greeted(hold)
    child.popen.send_signal(signum)
    child.popen.send_signal(signum)
    assert await child.ended() == 0


async def test_a_signal_before_the_loop_is_not_lost(hold):
    child = hold()
    await child.hear("hello")
    child.popen.send_signal(signal.SIGTERM)
    await child.say(WELCOME)
    assert await child.ended() == 0


async def test_keys_are_owned_and_confirmed(hold):
    child = await greeted(hold)
    await child.say({"t": "assign", "keys": ["b", "a"]})
    assert await child.hear("assigned") == {"t": "assigned", "keys": ["a", "b"]}
    await child.say({"t": "assign", "keys": []})
    assert (await child.hear("assigned"))["keys"] == []


async def test_a_reply_that_is_too_long_is_an_error_and_no_end(hold):
    child = await greeted(hold)
    assert (await child.ask("echo", word="x" * 300_000))["error"] == "the reply is too long"
    assert (await child.ask("echo", word="x"))["result"] == {"word": "x"}


async def test_stacks_are_written_where_the_root_can_read_them(hold):
    child = await greeted(hold)
    child.popen.send_signal(signal.SIGABRT)
    assert await child.ended() == -signal.SIGABRT
    assert b"most recent call first" in os.pread(child.stacks, 100_000, 0)


async def test_a_child_whose_root_has_gone_already_does_not_start(hold):
    assert await hold(root=1).ended() == 1


def test_a_program_that_nobody_supervises_says_so():
    alone = subprocess.run(CHILD, capture_output=True, check=False)
    assert alone.returncode == 64
    assert b"not started by the supervisor" in alone.stderr


def test_a_child_loads_little():
    program = "import sys, supervisor.worker; print(*sys.modules)"
    folder = Path(__file__).parents[3]
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    loaded = set(shown.stdout.split())
    assert {name for name in loaded if name.startswith("supervisor.")} == {
        "supervisor.errors",
        "supervisor.prctl",
        "supervisor.wire",
        "supervisor.worker",
    }
    assert not {"click", "rich", "msgspec", "pydantic"} & loaded
