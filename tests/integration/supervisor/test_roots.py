"""What only a root process of its own can show: its death, a second one, systemd, reload."""

import contextlib
import math
import os
import signal
import socket
import sys
import threading

import pytest
import trio

from supervisor.ctl.client import Client
from supervisor.notify import Notifier
from tests.integration.supervisor.nurse import gone, interrupt

AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


async def ctl(path, command: str, **args):
    def call():
        with Client(path) as client:
            return client.call(command, args)

    return await trio.to_thread.run_sync(call)


async def test_no_child_survives_the_root(nurse):
    nurse.write(children={"a": {}, "b": {"settings": {"manner": "stubborn"}}, "c": {"order": 1}})
    for _ in range(3):
        root = nurse.start()
        await root.see("tree_ready")
        pids = set(root.pids().values())
        assert len(pids) == 3
        interrupt(root, signal.SIGKILL)
        await gone(pids, within_s=2)
        await root.ended()


async def test_the_next_root_reaps_what_a_killed_one_left(nurse):
    nurse.write(children={"a": {"settings": {"manner": "forking"}}})
    root = nurse.start()
    forked = await root.see("forked")
    await root.see("tree_ready")
    interrupt(root, signal.SIGKILL)
    await gone(set(root.pids().values()), within_s=2)
    again = nurse.start()
    reaped = await again.see("orphan_reaped")
    assert (reaped["child"], reaped["pid"]) == ("a", forked["pid"])
    await again.see("tree_ready")
    await gone({forked["pid"]}, within_s=1)


async def test_a_second_root_on_the_same_state_refuses(nurse):
    nurse.write(children={"a": {}})
    first = nurse.start()
    await first.see("tree_ready")
    second = nurse.start()
    assert await second.ended() == 75
    assert second.popen.stderr.read() == f"already running (pid {first.popen.pid}) on {nurse.control}\n".encode()
    assert (await ctl(nurse.control, "status"))["as_wanted"]


async def test_a_stale_socket_is_replaced(nurse):
    nurse.write(children={})
    nurse.control.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(nurse.control))
    root = nurse.start()
    await root.see("tree_ready")
    assert (await ctl(nurse.control, "version"))["program"] == "root 1"
    interrupt(root)
    assert await root.ended() == 0
    assert not nurse.control.exists()


async def test_something_else_in_the_way_is_left_alone(nurse):
    nurse.write(children={})
    nurse.control.parent.mkdir()
    nurse.control.write_text("precious")
    root = nurse.start()
    assert await root.ended() == 69
    assert b"is in the way: it is not a socket" in root.popen.stderr.read()
    assert nurse.control.read_text() == "precious"


async def test_a_taken_port_is_a_clear_refusal(nurse):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        nurse.write(listeners={"web": port})
        root = nurse.start()
        assert await root.ended() == 69
    assert root.popen.stderr.read() == (
        f"listener web: cannot listen on 127.0.0.1:{port}: Address already in use\n".encode()
    )


async def test_sighup_reloads(nurse):
    nurse.write(children={"a": {}, "b": {}, "c": {}})
    root = nurse.start()
    await root.see("tree_ready")
    before = root.pids()
    nurse.write(children={"a": {"memory_soft_bytes": 10**12}, "b": {"env": {"NEW": "1"}}, "d": {}})
    interrupt(root, signal.SIGHUP)
    plan = (await root.see("tree_reloaded"))["plan"]
    assert plan == {
        "added": ["d"],
        "removed": ["c"],
        "live": {"a": ["memory_soft_bytes"]},
        "replaced": {"b": ["env"]},
        "refused": [],
    }
    await ctl(nurse.control, "wait", **{"for": "ready", "timeout": 10.0})
    children = {child["name"]: child["pid"] for child in (await ctl(nurse.control, "status"))["children"]}
    assert set(children) == {"a", "b", "d"}
    assert children["a"] == before["a"]
    assert children["b"] != before["b"]


async def test_a_bad_reload_changes_nothing(nurse):
    nurse.write(children={"a": {}})
    root = nurse.start()
    await root.see("tree_ready")
    nurse.write(children={"a": {"beat_misses": 0}})
    interrupt(root, signal.SIGHUP)
    refused = await root.see("reload_refused")
    assert refused["fault"].endswith("child a: beat_misses: got 0, allowed: 1 or more")
    assert (await ctl(nurse.control, "status"))["as_wanted"]


async def test_a_reload_names_what_it_refuses(nurse):
    nurse.write(children={"a": {}}, listeners={"web": 0})
    root = nurse.start()
    await root.see("tree_ready")
    nurse.write(children={"a": {}}, listeners={"web": 1})
    plan = await ctl(nurse.control, "reload", dry_run=True)
    assert plan["refused"] == ["listeners: needs a restart of the root"]
    assert plan["dry_run"]


async def test_the_root_forgives_its_own_standstill(nurse):
    nurse.write(children={"a": {"beat_interval_s": 0.2}})
    root = nurse.start()
    await root.see("tree_ready")
    interrupt(root, signal.SIGSTOP)
    await trio.sleep(2)  # standing still is what this is about
    interrupt(root, signal.SIGCONT)
    stalled = await root.see("root_stalled")
    assert stalled["seconds"] > 1
    assert await ctl(nurse.control, "wait", **{"for": "healthy", "timeout": 5.0})
    assert len([event for event in root.events if event["event"] == "worker_started"]) == 1


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_systemd_hears_of_ready_stopping_and_the_watchdog(nurse, tmp_path, is_abstract):
    address = f"{'@' if is_abstract else ''}{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
        raw.bind(address.replace("@", "\0"))
        raw.setblocking(False)
        heard = trio.socket.from_stdlib_socket(raw)
        send, said = trio.open_memory_channel[bytes](math.inf)
        heard_so_far: list[bytes] = []
        nurse.write(children={"a": {}})
        root = nurse.start(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"})

        async def listen() -> None:  # all the time: the queue of such a socket is short
            while True:
                await send.send(await heard.recv(1000))

        async def hear(word: bytes) -> None:
            with trio.fail_after(30):
                while not heard_so_far or not heard_so_far[-1].startswith(word):
                    heard_so_far.append(await said.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await hear(b"READY=1")
            await hear(b"WATCHDOG=1")
            assert b"STATUS=1 of 1 children ready" in heard_so_far  # before READY or after it, as the clock has it
            interrupt(root, signal.SIGHUP)
            await hear(b"RELOADING=1\nMONOTONIC_USEC=")
            await hear(b"READY=1")
            await ctl(nurse.control, "reload", dry_run=False)
            await hear(b"RELOADING=1")
            await hear(b"READY=1")
            interrupt(root)
            await hear(b"STOPPING=1")
            assert await root.ended() == 0
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("is_read", "words"), [(True, [b"READY=1"]), (False, [])])
def test_a_full_queue_of_the_manager_delays_what_matters_a_moment(tmp_path, monkeypatch, is_read, words):
    monkeypatch.setattr("supervisor.notify._PATIENCE_S", 20.0 if is_read else 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(2000):
            notifier.watchdog()  # beyond any queue: lost, without waiting
        reader = threading.Timer(0.1, manager.recv, (1000,))
        if is_read:
            reader.start()
        notifier.ready()
        heard = []
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(manager.recv(1000))
        if is_read:
            reader.join()
    assert [word for word in heard if word != b"WATCHDOG=1"] == words


async def test_a_reload_before_all_are_ready_does_not_say_that_they_are(nurse, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
        raw.bind(str(tmp_path / "notify"))
        raw.setblocking(False)
        nurse.write(children={"a": {"settings": {"manner": "mute"}}})
        root = nurse.start(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        await root.see("worker_started")
        interrupt(root, signal.SIGHUP)
        await root.see("tree_reloaded")
        interrupt(root)
        assert await root.ended() == 0
        said = []
        with contextlib.suppress(BlockingIOError):
            while True:
                said.append(raw.recv(1000))
    assert b"STOPPING=1" in said
    assert b"READY=1" not in said


async def test_a_record_that_cannot_be_written_ends_nobody(nurse):
    nurse.write(children={"a": {}})
    root = nurse.start()
    await root.see("tree_ready")
    record = nurse.control.with_name("control.sock.children")
    record.unlink()
    record.mkdir()
    os.kill(root.pids()["a"], signal.SIGKILL)
    await root.see("record_failed")
    await root.see("worker_replaced")
    record.rmdir()
    interrupt(root)
    assert await root.ended() == 0


async def test_sockets_of_systemd_are_served_and_not_bound(nurse):
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        nurse.write(pools={"p": 1}, listeners={"web": 0})

        env = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        manager = [sys.executable, "-c", AS_SYSTEMD, str(given.fileno())]
        root = nurse.start(env=env, pass_fds=(given.fileno(),), through=manager)
        await root.see("tree_ready")
        assert (await ctl(nurse.control, "status"))["listeners"] == {"web": ["127.0.0.1", port]}
        with trio.fail_after(5):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(b"?\n")
                assert int(await stream.receive_some(100)) == root.pids()["p.0"]


async def test_sigterm_leaves_nothing(nurse):
    nurse.write(children={"a": {}, "b": {"order": 1}})
    root = nurse.start()
    await root.see("tree_ready")
    interrupt(root)
    await root.see("tree_stopped", exit_code=0)
    assert await root.ended() == 0
    await gone(set(root.pids().values()), within_s=0.1)
    assert [entry.name for entry in nurse.control.parent.iterdir()] == ["control.sock.lock"]
