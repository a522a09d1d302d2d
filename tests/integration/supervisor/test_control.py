"""The control socket against clients that ask, misbehave, or are not allowed."""

import contextlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest
import trio

from supervisor import control
from supervisor.answers import Answers, History
from supervisor.commands import COMMANDS
from supervisor.ctl.client import Client, Refused, Unreachable
from supervisor.events import Event
from supervisor.spec import Autoscale, PoolSpec
from tests.integration.supervisor.grove import child


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


@pytest.fixture
async def busy(grove, path):
    """A tree with one of each: a child, a pool with keys and scaling."""
    pool = PoolSpec(name="p", template=child("t", beat_interval_s=0.2), size=2, maximum=4, keys=("k1", "k2"),
                    autoscale=Autoscale())  # fmt: skip
    await grove.plant(child("c", beat_interval_s=0.2, critical=True, role="one"), pools=(pool,), control=path)
    return grove


async def ctl(path, command: str, **args):
    def call():
        with Client(path) as client:
            return client.call(command, args)

    return await trio.to_thread.run_sync(call)


async def raw(path, data: bytes, *, then_close: bool = True) -> list[dict]:
    """Say anything, return every reply until the server hangs up."""
    with trio.fail_after(15):
        stream = await trio.open_unix_socket(str(path))
        async with stream:
            try:
                await stream.send_all(data)
                if then_close:
                    await stream.send_eof()
            except trio.BrokenResourceError:
                pass  # it has had enough already
            received = b""
            try:
                async for more in stream:
                    received += more
            except trio.BrokenResourceError:
                pass
            return [json.loads(line) for line in received.splitlines()]


async def test_status_has_the_published_shape(busy, path):
    status = await ctl(path, "status")
    assert status["version"] == 1
    assert [(each["name"], each["role"], each["state"]) for each in status["children"]] == [
        ("c", "one", "ready"),
        ("p.0", "", "ready"),
        ("p.1", "", "ready"),
    ]
    assert {"pid", "uptime_s", "restarts"} <= status["children"][0].keys()
    assert status["children"][0]["pid"] == busy.pid("c")
    assert [(pool["name"], pool["size"], pool["active"]) for pool in status["pools"]] == [("p", 2, 2)]


async def test_every_remote_command_is_served(busy):
    answers = Answers(busy.running.tree, busy.running.fleet, History(), "", busy.running.reloader.reload)
    assert answers.answers().keys() | answers.streaming().keys() == {c.name for c in COMMANDS if not c.local}


async def test_stop_keeps_a_child_stopped_and_start_starts_it(busy, path):
    await ctl(path, "stop", target="c")
    assert busy.state("c") == "stopped"
    status = await ctl(path, "status")
    assert status["as_wanted"]  # stopped on purpose is not down
    await ctl(path, "start", target="c")
    assert busy.state("c") == "ready"


async def test_restart_replaces_the_process(busy, path):
    before = busy.pid("c")
    assert (await ctl(path, "restart", target="c"))["children"] == ["c"]
    assert busy.pid("c") != before


async def test_rolling_restart_of_all(busy, path):
    before = {name: busy.pid(name) for name in ("c", "p.0", "p.1")}
    reply = await ctl(path, "restart", target="all", rolling=True)
    assert sorted(reply["children"]) == ["c", "p.0", "p.1"]
    assert all(busy.pid(name) != pid for name, pid in before.items())


async def test_rolling_restart_of_one_member(busy, path):
    before = {name: busy.pid(name) for name in ("p.0", "p.1")}
    assert (await ctl(path, "restart", target="p.1", rolling=True))["children"] == ["p.1"]
    assert busy.pid("p.0") == before["p.0"]
    assert busy.pid("p.1") != before["p.1"]


async def test_scale_and_explain(busy, path):
    assert await ctl(path, "scale", pool="p", size=3) == {"version": 1, "pool": "p", "before": 2, "size": 3}
    await busy.see("worker_ready", "p.2")
    (explained,) = (await ctl(path, "autoscale explain"))["pools"]
    assert explained["size"] == 3
    assert explained["why"]


async def test_drain_finishes_and_stops(busy, path):
    await ctl(path, "drain", target="p")
    assert {busy.state("p.0"), busy.state("p.1")} == {"stopped"}
    assert len(busy.seen("left")) == 2


async def test_reset_failed_tries_again(grove, path):
    await grove.plant(child(exits=78), control=path)
    assert grove.state("c") == "fatal"
    assert not (await ctl(path, "status"))["as_wanted"]
    await ctl(path, "reset-failed")
    await grove.see("worker_started", "c", times=2)


async def test_stack_shows_threads_and_tasks(busy, path):
    shown = await ctl(path, "stack", child="c")
    assert "most recent call first" in shown["threads"]
    assert any("child.py" in where for task in shown["tasks"] for where in task["at"])


async def test_stacks_do_not_pile_up(busy, path):
    stacks, sizes = stacks_file(busy.pid("c")), []
    for _ in range(3):
        assert "most recent call first" in (await ctl(path, "stack", child="c"))["threads"]
        sizes.append(stacks.stat().st_size)
    assert max(sizes) < 2 * min(sizes)


def stacks_file(pid: int) -> Path:
    (found,) = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if "memfd:stacks" in str(fd.readlink())]
    return found


async def test_stack_of_a_loop_that_hangs(grove, path):
    await grove.plant(child(), control=path)
    grove.tell("c", "hang")
    shown = await ctl(path, "stack", child="c")
    with trio.fail_after(10):
        while "in hang" not in shown["threads"]:  # it has not read the question yet
            shown = await ctl(path, "stack", child="c")
    assert shown["tasks"] is None


async def test_log_level_streams_and_breakers_ask_the_children(busy, path):
    assert (await ctl(path, "log-level", target="p", level="debug"))["children"] == ["p.0", "p.1"]
    assert {each["child"] for each in (await ctl(path, "streams"))["children"]} == {"c", "p.0", "p.1"}
    assert {"child": "c", "open": False} in (await ctl(path, "breakers"))["supervisor"]


async def test_inspect_does_not_show_settings(grove, path):
    await grove.plant(child(settings={"secret": "hunter2"}, env={"TOKEN": "hunter3"}), control=path)
    shown = await ctl(path, "inspect", child="c")
    assert shown["env"] == ["TOKEN"]
    assert "hunter" not in json.dumps(shown)


async def test_events_follow_what_happens(busy, path):
    followed = []

    def follow() -> None:
        with Client(path) as client:
            for event in client.stream("events", {"follow": True}):
                followed.append(event)
                if event["event"] == "worker_exited":
                    return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, follow)
        await ctl(path, "stop", target="c")
    assert [event["event"] for event in followed if event["child"] == "c"][:2] == ["worker_started", "worker_ready"]


async def test_changes_are_audited(busy, path):
    await ctl(path, "stop", target="c")
    (change,) = busy.seen("control_change")
    assert change.data == {
        "uid": os.getuid(),
        "peer_pid": os.getpid(),
        "command": "stop",
        "args": {"target": "c", "timeout": 60.0},
    }


async def test_others_may_look_and_not_change(busy, path, monkeypatch):
    monkeypatch.setattr(control.Peer, "may_change", property(lambda _: False))
    assert (await ctl(path, "status"))["as_wanted"]
    with pytest.raises(Refused, match="stop is not allowed") as refused:
        await ctl(path, "stop", target="c")
    assert refused.value.code == 77
    assert busy.state("c") == "ready"
    assert busy.seen("control_denied")


def test_only_the_superuser_and_the_own_user_may_change():
    assert control.Peer(1, 0, 0).may_change
    assert control.Peer(1, os.geteuid(), 9).may_change
    assert not control.Peer(1, os.geteuid() + 1, 0).may_change


async def test_the_socket_is_for_owner_and_group_only(busy, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


BAD = [
    (b"garbage\n", "not a request"),
    (b"\xff\xfe\x00\n", "not a request"),
    (b"[" * 5000 + b"\n", "not a request"),
    (b"[]\n", "not a request"),
    (b'{"command": 7}\n', "unknown command '7'"),
    (b'{"command": "__class__"}\n', "unknown command '__class__'"),
    (b'{"command": "top"}\n', "unknown command 'top'"),
    (b'{"command": "status", "args": []}\n', "unknown command"),
    (b'{"command": "status", "args": {"x": 1}}\n', "status: unknown argument x, allowed: none"),
    (b'{"command": "inspect"}\n', "inspect: child is missing"),
    (b'{"command": "inspect", "args": {"child": "nobody"}}\n', "there is no 'nobody'; there are: c, p.0, p.1, p"),
    (b'{"command": "scale", "args": {"pool": "p", "size": "9"}}\n', "scale: size must be int, got '9'"),
    (b'{"command": "scale", "args": {"pool": "p", "size": true}}\n', "scale: size must be int, got True"),
    (b'{"command": "scale", "args": {"pool": "p", "size": 9}}\n', "pool p has 1 to 4 members, not 9"),
    (b'{"command": "wait", "args": {"for": "ever"}}\n', "wait: for must be one of ready, healthy, stopped"),
    (b"x" * 10_000_000, "the request is longer than 65536 bytes"),
]


async def test_a_bad_request_is_named_and_harms_nobody(busy, path):
    for said, complaint in BAD:
        (reply,) = await raw(path, said)
        assert not reply["ok"]
        assert complaint in reply["error"], said[:80]
    assert (await ctl(path, "status"))["as_wanted"]


async def test_a_client_that_says_nothing_is_hung_up_on(busy, path, monkeypatch):
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    assert await raw(path, b"", then_close=False) == []
    (reply,) = await raw(path, b'{"command": "sta', then_close=False)
    assert reply["error"] == "no complete request within 0.2 s"


async def test_a_client_that_disconnects_harms_nobody(busy, path):
    for said in (b"", b'{"command"', b'{"command": "events", "args": {"follow": true}}\n', b'{"command": "status"}\n'):
        stream = await trio.open_unix_socket(str(path))
        await stream.send_all(said)
        await stream.aclose()
    assert (await ctl(path, "status"))["as_wanted"]


async def test_too_many_clients_are_told_so(busy, path):
    streams = [await trio.open_unix_socket(str(path)) for _ in range(control.CLIENTS_MAX)]
    with pytest.raises(Refused, match="too many clients"):
        await ctl(path, "status")
    for stream in streams:
        await stream.aclose()


async def test_a_client_that_stops_reading_is_dropped_and_keeps_no_place(busy, path, monkeypatch):
    monkeypatch.setattr(control, "SEND_S", 0.2)
    monkeypatch.setattr(control, "CLIENTS_MAX", 1)
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(b'{"command": "events", "args": {"follow": true}}\n')
        await stream.receive_some(1)
        for _ in range(12):
            await busy.ask("c", "say", word={"t": "event", "event": "said", "data": {"much": "x" * 50_000}})
        with trio.fail_after(20):
            while "error" in (await raw(path, b'{"command": "version"}\n'))[0]:  # noqa: ASYNC110 -- the server says nothing of it
                await trio.sleep(0.05)


async def test_a_follower_that_lags_learns_how_much_it_lost():
    history, kept = History(), [Event(name=f"e{n}", at_ms=n) for n in range(1100)]
    async with contextlib.aclosing(history.show({"follow": True})) as shown:
        history.add(kept[0])
        assert (await anext(shown))["event"] == "e0"
        for event in kept[1:]:
            history.add(event)
        assert [(await anext(shown))["event"] for _ in range(2)] == ["e1", "events_lost"]


async def test_data_of_an_event_does_not_hide_the_version():
    history = History()
    history.add(Event(name="said", at_ms=1, child="c", data={"version": "0.1", "n": 2}))
    async with contextlib.aclosing(history.show({"follow": False})) as shown:
        event = await anext(shown)
    assert (next(iter(event)), event["version"], event["n"]) == ("version", 1, 2)


async def test_several_requests_on_one_connection(busy, path):
    replies = await raw(path, b'{"command": "version"}\n{"command": "status"}\n{"command": "version"}')
    assert [reply["ok"] for reply in replies] == [True, True, True]


async def test_waiting_times_out(grove, path):
    await grove.plant(child("c", manner="mute"), settled=False, control=path)
    with pytest.raises(Refused, match=r"waiting for ready: not within 0\.1 s") as refused:
        await ctl(path, "wait", timeout=0.1)
    assert refused.value.code == 75


async def test_what_somebody_else_stops_is_not_waited_for(grove, path):
    await grove.plant(child("c", manner="mute"), settled=False, control=path)

    async def start() -> None:
        with pytest.raises(Refused, match="c is stopp") as refused:
            await ctl(path, "start", target="c")
        assert refused.value.code == 3

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await grove.see("control_change", command="start")
        await ctl(path, "stop", target="c")


async def test_what_leaves_meanwhile_is_not_waited_for(busy, path):
    busy.running.fleet.scale("p", 1, why="test")
    assert busy.running.fleet.pools["p"].leaving == {"p.1"}
    await ctl(path, "restart", target="p")
    assert list(busy.running.tree.slots) == ["c", "p.0"]


async def test_starting_what_is_fatal_says_why(grove, path):
    await grove.plant(child(exits=78), control=path)
    with pytest.raises(Refused, match="c is fatal: exit code 78") as refused:
        await ctl(path, "start", target="c")
    assert refused.value.code == 3


async def test_nobody_there(path):
    with pytest.raises(Unreachable, match="no daemon answers") as unreachable:
        await ctl(path, "status")
    assert unreachable.value.code == 4


async def test_a_path_longer_than_the_kernel_takes(grove, tmp_path):
    deep = tmp_path / ("d" * 120) / "control.sock"
    await grove.plant(child(), control=deep)
    assert (await ctl(deep, "status"))["as_wanted"]


async def test_shutdown_ends_the_tree(busy, path):
    await ctl(path, "shutdown")
    with trio.fail_after(10):
        await busy.ended.wait()
    assert busy.exit_code == 0
    with pytest.raises(Unreachable), socket.socket(socket.AF_UNIX):
        await ctl(path, "status")
