"""Children forked by a zygote, real processes: they are as executed ones, and no zygote is ever needed."""

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from supervisor.errors import SpecError
from supervisor.procfs import all_processes, usage
from supervisor.spec import ChildSpec, ListenerSpec, PoolSpec, TreeSpec, ZygoteSpec
from tests.integration.supervisor.grove import child
from tests.integration.supervisor.nurse import gone, interrupt

MODULE = "tests.integration.supervisor.child"
ARGV = (sys.executable, "-m", MODULE)
ZYGOTE = ZygoteSpec(modules=("supervisor.worker", "subprocess"), without_env=("SECRET_",))


def warm(name="c", **fields):
    return child(name, argv=ARGV, is_warm=True, **fields)


def words(pid: int, file: str) -> list[str]:
    return Path(f"/proc/{pid}/{file}").read_text().split("\0")


def parent(pid: int) -> int:
    """Return the parent's pid, 0 of a process that has gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


def children() -> set[int]:
    """Return the processes of ours, of which the suite may have begun some before."""
    return {seen.pid for seen in all_processes() if parent(seen.pid) == os.getpid()}


def zygote_pid(grove) -> int:
    return grove.seen("zygote_warm")[-1].data["pid"]


async def test_a_warm_child_is_the_roots_own_and_looks_like_what_it_runs(grove, monkeypatch):
    monkeypatch.setenv("SECRET_WORD", "hunter2")
    await grove.plant(warm(env={"GREETING": "hello"}, without_env=("SECRET_",)), zygote=ZYGOTE)
    pid = grove.pid("c")
    assert parent(pid) == os.getpid()
    assert usage(pid).session == pid
    assert words(pid, "cmdline")[0] == f"python -m {MODULE}"
    assert "hunter2" not in "".join(words(pid, "environ"))
    assert (await grove.ask("c", "env"))["GREETING"] == "hello"
    assert "SUPERVISOR_PIPE" not in await grove.ask("c", "env")
    assert await grove.fell() == 0


async def test_its_end_is_told_as_it_was(grove):
    await grove.plant(warm("crashing"), warm("killed"), zygote=ZYGOTE)
    grove.tell("crashing", "crash", code=7)
    os.kill(grove.pid("killed"), signal.SIGKILL)
    assert (await grove.see("worker_exited", "crashing")).data["end"] == "exit code 7"
    assert (await grove.see("worker_exited", "killed")).data["end"] == "SIGKILL"
    for name in ("crashing", "killed"):
        await grove.see("worker_replaced", name)
        assert parent(grove.pid(name)) == os.getpid()


async def test_a_killed_zygote_takes_nobody_along_and_is_replaced(grove):
    await grove.plant(warm(), zygote=ZYGOTE)
    pid, first = grove.pid("c"), zygote_pid(grove)
    os.kill(first, signal.SIGKILL)
    await grove.see("zygote_exited")
    os.kill(pid, signal.SIGKILL)
    await grove.see("worker_replaced", "c")  # executed or forked, as it happens
    await grove.see("zygote_warm", times=2)
    assert zygote_pid(grove) != first


async def test_a_hung_zygote_costs_one_wait(grove):
    await grove.plant(warm(), zygote=ZYGOTE)
    os.kill(zygote_pid(grove), signal.SIGSTOP)
    os.kill(grove.pid("c"), signal.SIGKILL)
    await grove.see("worker_replaced", "c")
    assert words(grove.pid("c"), "cmdline")[:3] == [*ARGV]  # executed
    await grove.see("zygote_warm", times=2)


@pytest.mark.parametrize("last_act", ["os.fork()", "time.sleep(3600)", "os.kill(os.getpid(), signal.SIGKILL)"])
async def test_a_zygote_that_ends_while_it_forks_leaves_nothing_half_born(grove, tmp_path, monkeypatch, last_act):
    waits = f"import os, signal, time\nos.waitpid = lambda *_: ({last_act}, os._exit(1))\n"  # a child is already there
    (tmp_path / "doomed.py").write_text(waits)
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    before = children()
    await grove.plant(warm(), zygote=ZygoteSpec(modules=("supervisor.worker", "doomed"), env={"PYTHONPATH": path}))
    await grove.see("zygote_warm", times=2)
    assert words(grove.pid("c"), "cmdline")[:3] == [*ARGV]  # executed
    assert children() - before == {grove.pid("c"), zygote_pid(grove)}


async def test_a_child_that_has_barely_begun_when_the_zygote_ends_is_one_that_died(grove, tmp_path):
    """It has no session of its own yet, so it goes with the next one's birth; the root must bear that."""
    (tmp_path / "doomed.py").write_text(
        "import os, time\n"
        "os.setsid = lambda: time.sleep(3600)\n"
        "wait, births = os.waitpid, []\n"
        "os.waitpid = lambda *each: os._exit(1) if births else (births.append(each), wait(*each))\n"
    )
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    zygote = ZygoteSpec(modules=("supervisor.worker", "doomed"), env={"PYTHONPATH": path})
    await grove.plant(warm("first"), warm("second"), zygote=zygote, settled=False)
    assert (await grove.see("worker_exited", "first")).data["end"] == "SIGKILL"
    await grove.see("worker_ready", "second")  # executed
    assert await grove.fell() == 0


async def test_a_zygote_of_another_version_gets_no_orders(grove, tmp_path):
    (tmp_path / "newer.py").write_text("import sys\nsys.modules['__main__']._WARM = b'warm 0'\n")
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    await grove.plant(warm(), zygote=ZygoteSpec(modules=("newer",), env={"PYTHONPATH": path}))
    assert words(grove.pid("c"), "cmdline")[:3] == [*ARGV]  # executed


async def test_without_what_it_shall_import_children_are_executed(grove):
    await grove.plant(warm(), zygote=ZygoteSpec(modules=("no.such.module",)))
    assert not grove.seen("zygote_warm")
    assert words(grove.pid("c"), "cmdline")[:3] == [*ARGV]


async def test_an_import_that_never_ends_is_not_waited_for(grove, tmp_path, monkeypatch):
    monkeypatch.setattr("supervisor.zygote.WARM_S", 0.2)
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(3600)\n")
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    await grove.plant(warm(), zygote=ZygoteSpec(modules=("endless",), env={"PYTHONPATH": path}))
    assert words(grove.pid("c"), "cmdline")[:3] == [*ARGV]
    assert await grove.fell() == 0


async def test_members_forked_share_the_listener(grove):
    template = warm("web", listeners=("web",))
    pool = PoolSpec(name="web", template=template, size=2)
    await grove.plant(pools=(pool,), listeners=(ListenerSpec(name="web"),), zygote=ZYGOTE)
    answered = set()
    with trio.fail_after(20):
        while len(answered) < 2:
            stream = await trio.open_tcp_stream(*grove.addresses["web"][:2])
            async with stream:
                await stream.send_all(b"?")
                answered.add(int(await stream.receive_some(20)))
    assert answered == {grove.pid("web.0"), grove.pid("web.1")}


async def test_a_reload_renews_it(grove):
    tree = TreeSpec(children=(warm(),), zygote=ZYGOTE)
    await grove.plant_tree(tree, reload=lambda: tree)
    first, pid = zygote_pid(grove), grove.pid("c")
    await grove.running.reloader.reload(False)
    await grove.see("zygote_warm", times=2)
    assert zygote_pid(grove) != first
    assert grove.pid("c") == pid


async def test_no_zombie_is_left(grove):
    await grove.plant(warm(), zygote=ZYGOTE)
    for times in (1, 2, 3):
        os.kill(grove.pid("c"), signal.SIGKILL)
        await grove.see("worker_replaced", "c", times=times)
    mine = [seen.pid for seen in all_processes() if seen.is_zombie and parent(seen.pid) == os.getpid()]
    assert not mine
    await grove.fell()


async def test_forked_children_and_zygote_die_with_the_root(nurse):
    nurse.write(children={name: {"argv": ARGV, "is_warm": True} for name in "ab"}, zygote=["supervisor.worker"])
    root = nurse.start()
    await root.see("tree_ready")
    warmed = next(event for event in root.events if event["event"] == "zygote_warm")
    pids = {*root.pids().values(), warmed["pid"]}
    assert len(pids) == 3
    interrupt(root, signal.SIGKILL)
    await gone(pids, within_s=10)


def test_a_warm_child_must_be_a_module():
    with pytest.raises(SpecError, match="child c: argv"):
        ChildSpec(name="c", argv=("/bin/true",), is_warm=True)
