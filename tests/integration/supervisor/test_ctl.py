"""The command line against a real daemon: what it prints, and its exit codes."""

import json
import os
import pty
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
import trio
from click.testing import CliRunner, Result

from supervisor.commands import COMMANDS
from supervisor.ctl import group
from supervisor.spec import Autoscale, PoolSpec
from tests.integration.supervisor.grove import child


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


@pytest.fixture
async def ctl(grove, path):
    """Call the command line in a thread, as the daemon runs in this one."""
    pool = PoolSpec(name="p", template=child("t", beat_interval_s=0.2), size=2, maximum=4, keys=("k1", "k2"),
                    autoscale=Autoscale())  # fmt: skip
    await grove.plant(child("c", beat_interval_s=0.2), pools=(pool,), control=path)

    async def call(*words: str) -> Result:
        runner = CliRunner()
        with trio.fail_after(20):
            return await trio.to_thread.run_sync(lambda: runner.invoke(group(lambda: path), list(words)))

    return call


async def test_status_says_by_its_exit_code_whether_all_is_as_wanted(ctl, grove):
    shown = await ctl("status")
    assert (shown.exit_code, "3 of 3 ready" in shown.output) == (0, True)
    assert all(name in shown.output for name in ("c", "p.0", "p.1", "ready", "consistent"))
    grove.running.tree.apply("c", "kill", reason="drill")
    shown = await ctl("status", "--json")
    assert (shown.exit_code, json.loads(shown.output)["as_wanted"]) in ((3, False), (0, True))


async def test_a_fatal_child_is_exit_3(grove, path):
    await grove.plant(child(exits=78), control=path)
    shown = await trio.to_thread.run_sync(lambda: CliRunner().invoke(group(lambda: path), ["status"]))
    assert shown.exit_code == 3
    assert "fatal" in shown.output


SPOKEN = [
    (("tree",), "order 0"),
    (("inspect", "c"), "limits.ready_timeout_s"),
    (("restart", "c"), "c"),
    (("restart", "p", "--rolling"), "p.0 p.1"),
    (("stop", "c"), "c"),
    (("start", "c"), "c"),
    (("drain", "p"), "p.0 p.1"),
    (("start", "p"), "p.0 p.1"),
    (("autoscale", "explain"), "p  2 members"),
    (("autoscale", "explain", "p"), "p  2 members"),
    (("reset-failed",), "c p.0 p.1"),
    (("stack", "c"), "most recent call first"),
    (("log-level", "c", "debug"), "c"),
    (("events",), "tree_ready"),
    (("streams",), "LAG"),
    (("breakers",), "closed"),
    (("wait", "--for", "ready", "--timeout", "5"), "3 of 3 ready"),
    (("version",), "supervisor"),
    (("scale", "p", "3"), "size 3"),
    (("shutdown",), "stopping"),
]


async def test_every_command_speaks_to_people_and_to_machines(ctl):
    for words, expected in SPOKEN:
        shown = await ctl(*words)
        assert (shown.exit_code, expected in shown.output) == (0, True), (words, shown.output)
        if words != ("shutdown",):
            as_json = await ctl(*words, "--json")
            assert as_json.exit_code == 0, (words, as_json.output)
            assert {json.loads(line)["version"] for line in as_json.output.splitlines()} == {1}, words


def test_every_declared_command_is_mounted_with_its_summary():
    mounted = group(lambda: None).commands
    for command in COMMANDS:
        first, _, second = command.name.partition(" ")
        found = mounted[first] if not second else mounted[first].commands[second]
        assert found.help == command.summary


IMPOSSIBLE = [
    (("inspect", "nobody"), 2, "there is no 'nobody'; there are: c, p.0, p.1, p"),
    (("inspect",), 2, "Missing argument 'CHILD'"),
    (("scale", "p", "many"), 2, "'many' is not a valid integer"),
    (("scale", "p", "9"), 2, "pool p has 1 to 4 members, not 9"),
    (("sing",), 2, "No such command 'sing'"),
    (("reload",), 2, "this program cannot reload"),
    (("wait", "--for", "stopped", "--timeout", "0.1"), 75, "not within 0.1 s"),
]


async def test_what_cannot_be_is_said_in_one_line(ctl):
    for words, code, complaint in IMPOSSIBLE:
        shown = await ctl(*words)
        assert (shown.exit_code, complaint in shown.output) == (code, True), (words, shown.output)
        assert "Traceback" not in shown.output


def test_nobody_there_is_exit_4(tmp_path):
    shown = CliRunner().invoke(group(lambda: tmp_path / "absent"), ["--state", str(tmp_path), "status"])
    assert shown.exit_code == 4
    assert f"no daemon answers on {tmp_path}/control.sock" in shown.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    shown = CliRunner().invoke(group(lambda: None), ["completion", shell])
    assert shown.exit_code == 0
    assert "COMPLETE" in shown.output


TOP = """
import sys
from pathlib import Path
from supervisor.ctl import group
group(lambda: Path(sys.argv.pop()))(["top"])
"""


@contextmanager
def top_in_a_terminal(path):
    """Run `top` on a terminal of its own; yield the process and our end. Nothing of it is left afterwards."""
    ours, theirs = pty.openpty()
    env = os.environ | {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    popen = subprocess.Popen(
        [sys.executable, "-c", TOP, str(path)], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=env
    )
    os.close(theirs)
    try:
        yield popen, trio.lowlevel.FdStream(ours)
    finally:
        popen.kill()
        popen.wait()


async def drawn_on(screen):
    drawn = b""
    with trio.fail_after(10):
        while b"quit q" not in drawn:
            drawn += await screen.receive_some(65536)
    return drawn


async def test_top_draws_in_80_columns_and_quits_on_q(ctl, grove, path):
    grove.running.tree.report("noticed", "c", what="x" * 200)
    grove.running.tree.report("dumped", what="\n".join("yyyy" for _ in range(50)))
    with top_in_a_terminal(path) as (popen, screen):
        async with screen:
            drawn = await drawn_on(screen)
            await screen.send_all(b"q")
            with trio.fail_after(10):
                assert await trio.to_thread.run_sync(popen.wait, abandon_on_cancel=True) == 0
    assert all(word in drawn for word in (b"3 of 3 ready", b"p.1", b"QUEUE", b"noticed"))
    assert drawn.count(b"yyyy") == drawn.count(b"dumped") > 0  # of many lines the first is shown


async def test_top_ends_when_its_terminal_has_gone(ctl, path):
    with top_in_a_terminal(path) as (popen, screen):
        async with screen:
            await drawn_on(screen)
        with trio.fail_after(10):
            await trio.to_thread.run_sync(popen.wait, abandon_on_cancel=True)


@pytest.mark.parametrize("place", ["before", "after"])
async def test_options_may_stand_before_and_after_the_command(ctl, path, place):
    options = ["--state", str(path.parent), "--json"]
    words = [*options, "status"] if place == "before" else ["status", *options]

    def call() -> Result:
        return CliRunner().invoke(group(lambda: path.parent / "absent"), words)

    shown = await trio.to_thread.run_sync(call)
    assert json.loads(shown.output)["as_wanted"]


async def test_the_local_commands_have_json_too(ctl):
    assert json.loads((await ctl("top", "--json")).output)["version"] == 1
    assert json.loads((await ctl("tree", "--json")).output)["version"] == 1
    assert json.loads((await ctl("completion", "bash", "--json")).output)["shell"] == "bash"


async def test_wait_for_stopped_ends_well_when_the_daemon_ends(ctl, grove):
    waited: list[Result] = []

    async def wait() -> None:
        waited.append(await ctl("wait", "--for", "stopped", "--timeout", "20"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(ctl, "shutdown")
    await grove.ended.wait()
    waited.append(await ctl("wait", "--for", "stopped", "--timeout", "20"))
    assert [shown.exit_code for shown in waited] == [0, 0]


async def test_a_daemon_that_is_silent_has_not_stopped(path, monkeypatch):
    monkeypatch.setattr("supervisor.ctl.LOOK_S", 0.1)
    words = ["wait", "--for", "stopped", "--timeout", "0.1"]
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        shown = await trio.to_thread.run_sync(lambda: CliRunner().invoke(group(lambda: path), words))
    assert (shown.exit_code, "timed out" in shown.output) == (4, True)


async def test_wait_waits_for_the_daemon_to_come_up(grove, path):
    waited: list[Result] = []

    def wait() -> None:
        words = ["wait", "--timeout", "20", "--json"]
        waited.append(CliRunner().invoke(group(lambda: path), words))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, wait)
        await grove.plant(child(), control=path)
    assert waited[0].exit_code == 0
    assert json.loads(waited[0].output)["as_wanted"]
