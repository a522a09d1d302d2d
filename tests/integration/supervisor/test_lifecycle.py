"""One child at a time, real processes: starting, serving, dying, being replaced, stopping."""

import errno
import os
import signal

import pytest
import trio

from supervisor.backoff import Backoff
from supervisor.errors import ControlError
from supervisor.exits import Decision
from supervisor.intensity import Intensity
from supervisor.procfs import usage
from supervisor.spec import Restart
from tests.integration.supervisor.grove import child


async def test_children_start_in_order_when_the_earlier_are_ready(grove):
    await grove.plant(child("late", order=2), child("early", order=0), child("middle", order=1))
    order = [(event.name, event.child) for event in grove.events if event.name.startswith("worker_")]
    assert order == [(name, who) for who in ("early", "middle", "late") for name in ("worker_started", "worker_ready")]
    assert await grove.fell() == 0
    assert [event.child for event in grove.seen("worker_exited")] == ["late", "middle", "early"]


async def test_settings_travel_over_the_pipe_only(grove):
    await grove.plant(child(settings={"secret": "hunter2", "exact": "0.10"}))
    assert (await grove.ask("c", "settings"))["secret"] == "hunter2"
    pid = grove.pid("c")
    for name in ("cmdline", "environ"):
        assert b"hunter2" not in await trio.Path(f"/proc/{pid}/{name}").read_bytes()


async def test_large_settings_fit(grove):
    await grove.plant(child(settings={"table": "x" * 1_000_000}))
    assert grove.state("c") == "ready"


async def test_a_killed_child_is_replaced_at_once(grove):
    await grove.plant(child())
    first = grove.pid("c")
    for times in (1, 2, 3):  # and however often: a kill from outside is not the child's fault
        os.kill(grove.pid("c"), signal.SIGKILL)
        replaced = await grove.see("worker_replaced", "c", times=times)
        assert replaced.data["recovery_s"] < 5
    assert grove.pid("c") != first
    assert not grove.seen("worker_backoff")


async def test_a_child_killed_while_it_starts_is_started_again_in_a_moment(grove):
    slow = Backoff(initial_s=30, max_s=30)
    await grove.plant(child(manner="mute"), settled=False, backoff=slow, intensity=Intensity(failed_starts=0))
    for times in (1, 2, 3, 4):
        await grove.see("worker_started", "c", times=times)
        os.kill(grove.pid("c"), signal.SIGKILL)
    await grove.see("worker_started", "c", times=5)
    assert all(event.data["delay_s"] <= 0.5 for event in grove.seen("worker_backoff"))
    assert not grove.seen("child_fatal")


async def test_a_crashing_child_is_delayed_then_fatal(grove):
    await grove.plant(child(manner="raises"), intensity=Intensity(restarts=2, failed_starts=9))
    fatal = await grove.see("child_fatal", "c")
    assert fatal.data["reason"] == "exit code 1"
    assert len(grove.seen("worker_exited", "c")) == 3
    assert grove.state("c") == "fatal"


async def test_consecutive_failed_starts_are_fatal_too(grove):
    await grove.plant(child(manner="raises"), intensity=Intensity(restarts=99, failed_starts=1))
    await grove.see("child_fatal", "c")
    assert len(grove.seen("worker_exited", "c")) == 2


async def test_half_of_the_critical_children_fatal_ends_the_root(grove):
    await grove.plant(
        child("good", critical=True),
        child("bad", manner="raises", critical=True),
        settled=False,
        intensity=Intensity(restarts=0),
    )
    await grove.ended.wait()
    assert grove.exit_code == 70
    assert grove.seen("tree_escalated")[0].data["children"] == ["bad"]


async def test_a_critical_child_among_many_is_tried_for_ever(grove):
    others = [child(f"good{n}", critical=True) for n in range(2)]
    await grove.plant(*others, child("bad", manner="raises", critical=True), settled=False,
                      intensity=Intensity(restarts=0))  # fmt: skip
    await grove.see("child_fatal", "bad")
    await grove.see("worker_started", "bad", times=4)
    assert len(grove.seen("child_fatal", "bad")) == 1
    assert not grove.seen("tree_escalated")


@pytest.mark.parametrize("code", [64, 78])
async def test_a_configuration_fault_is_never_restarted(grove, code):
    await grove.plant(child(exits=code))
    assert grove.state("c") == "fatal"
    assert len(grove.seen("worker_started", "c")) == 1


async def test_only_configuration_faults_exit_with_their_code(grove):
    await grove.plant(child(exits=78, critical=True), settled=False)
    await grove.ended.wait()
    assert grove.exit_code == 78


async def test_the_child_prints_its_configuration_fault(grove, capfd):
    await grove.plant(child(manner="leave", with_={"fault": "config", "message": "pairs: empty"}))
    assert "pairs: empty\n" in capfd.readouterr().err


async def test_an_absent_dependency_is_not_counted(grove):
    unavailable = child(manner="leave", with_={"fault": "unavailable", "message": "no redis"})
    await grove.plant(unavailable, settled=False, intensity=Intensity(restarts=0, failed_starts=0))
    await grove.see("worker_backoff", "c", times=4)
    assert not grove.seen("child_fatal")


async def test_exit_3_recycles_without_counting(grove):
    await grove.plant(child(), intensity=Intensity(restarts=0, failed_starts=0))
    grove.tell("c", "crash", code=3)
    await grove.see("worker_replaced", "c")
    assert not grove.seen("worker_backoff")


@pytest.mark.parametrize(("restart", "states"), [(Restart.TRANSIENT, "done"), (Restart.TEMPORARY, "done")])
async def test_a_finished_child_stays_done(grove, restart, states):
    await grove.plant(child(manner="done", restart=restart))
    await grove.see("worker_exited", "c")
    await grove.until(lambda: grove.state("c") == states)
    assert len(grove.seen("worker_started", "c")) == 1


async def test_a_permanent_child_that_exits_0_at_once_becomes_fatal(grove):
    await grove.plant(child(exits=0), intensity=Intensity(restarts=2))
    assert grove.seen("child_fatal", "c")[0].data["reason"] == "exit code 0"


async def test_a_program_that_is_not_there_becomes_fatal_with_a_clear_reason(grove):
    spec = child()
    missing = type(spec)(name="gone", argv=("/no/such/program",))
    await grove.plant(missing, intensity=Intensity(restarts=1))
    assert "cannot start /no/such/program: No such file" in grove.seen("child_fatal", "gone")[0].data["reason"]


async def test_a_child_that_cannot_be_watched_is_not_left_running(grove, monkeypatch):
    real, refused = os.pidfd_open, list[int]()

    def refuse(pid: int) -> int:  # as when the root has no descriptor left
        if refused:
            return real(pid)
        refused.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    await grove.plant(child())
    assert grove.seen("worker_exited", "c")[0].data["end"].endswith("Too many open files")
    assert usage(refused[0]) is None


async def test_a_child_that_never_gets_ready_is_replaced_with_its_stacks(grove):
    await grove.plant(child(manner="mute", ready_timeout_s=6.0), settled=False, intensity=Intensity(restarts=0))
    await grove.see("worker_unready", "c")
    stacks = await grove.see("worker_stacks", "c")
    assert "worker.py" in stacks.data["stacks"]
    await grove.see("child_fatal", "c", reason="unready")


async def test_a_busy_loop_is_found_and_replaced_with_its_stacks(grove):
    await grove.plant(child(beat_interval_s=0.2))
    grove.tell("c", "hang")
    await grove.see("worker_hung", "c")
    stacks = await grove.see("worker_stacks", "c")
    assert "in hang" in stacks.data["stacks"]
    await grove.see("worker_replaced", "c")


async def test_a_stopped_process_is_found_and_replaced(grove):
    await grove.plant(child(beat_interval_s=0.2))
    os.kill(grove.pid("c"), signal.SIGSTOP)
    await grove.see("worker_hung", "c")
    await grove.see("worker_killed", "c", reason="hung")
    await grove.see("worker_replaced", "c")


async def test_of_many_that_fall_silent_few_are_replaced_at_a_time(grove):
    names = [f"c{n}" for n in range(8)]
    await grove.plant(*(child(name, beat_interval_s=0.2) for name in names))
    for name in names:
        os.kill(grove.pid(name), signal.SIGSTOP)
    for name in names:
        await grove.see("worker_replaced", name)
    replacing, most = set[str](), 0
    for event in grove.events:
        if event.name == "worker_hung":
            replacing.add(event.child)
        elif event.name == "worker_ready":
            replacing.discard(event.child)
        most = max(most, len(replacing))
    assert most == 4  # half
    assert len(grove.seen("worker_spared")) >= 4


async def test_while_replacements_cannot_start_the_silent_are_spared(grove):
    names = [f"c{n}" for n in range(4)]
    await grove.plant(*(child(name, beat_interval_s=0.2) for name in names))
    before = {name: grove.pid(name) for name in names}
    for name in names:
        os.kill(before[name], signal.SIGSTOP)
    hung = [(await grove.see("worker_hung", times=times)).child for times in (1, 2)]

    async def stand_still(name: str) -> None:
        await grove.see("worker_started", name, times=2)
        os.kill(grove.pid(name), signal.SIGSTOP)  # the machine does so for the replacement too

    async with trio.open_nursery() as nursery:
        for name in hung:
            nursery.start_soon(stand_still, name)
    spared = sorted(set(names) - set(hung))
    for name in spared:
        await grove.see("worker_spared", name)
    for name in names:
        os.kill(grove.pid(name), signal.SIGCONT)
    for name in hung:
        await grove.see("worker_replaced", name)
    assert {name: grove.pid(name) for name in spared} == {name: before[name] for name in spared}
    assert len(grove.seen("worker_hung")) == 2


async def test_a_child_that_ignores_sigterm_is_killed_after_its_deadline(grove):
    await grove.plant(child(manner="stubborn", stop_timeout_s=0.3))
    assert await grove.fell() == 0
    assert grove.seen("worker_killed", "c", reason="stop_timeout")


async def test_what_a_child_forked_does_not_outlive_it(grove):
    await grove.plant(child(manner="forking"))
    grandchild = (await grove.see("forked", "c")).data["pid"]
    pidfd = os.pidfd_open(grandchild)
    os.kill(grove.pid("c"), signal.SIGKILL)
    with trio.fail_after(5):
        await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


async def test_junk_on_the_pipe_gets_a_child_replaced(grove):
    await grove.plant(child(manner="flood", with_={"valid": False}))
    await grove.see("worker_misbehaved", "c")
    await grove.see("worker_replaced", "c")


async def test_an_unknown_frame_gets_a_child_replaced(grove):
    await grove.plant(child())
    grove.tell("c", "say", word={"t": "nonsense"})
    fault = await grove.see("worker_misbehaved", "c")
    assert fault.data["fault"] == "unknown frame 'nonsense'"
    await grove.see("worker_replaced", "c")


@pytest.mark.parametrize("data", [{"name": "x", "self": 1}, {"child": "other", "level": "error"}])
async def test_an_event_of_a_child_may_bring_any_data(grove, data):
    await grove.plant(child())
    await grove.ask("c", "say", word={"t": "event", "event": "said", "data": data})
    assert (await grove.see("said", "c")).data == data


async def test_a_child_cannot_speak_for_the_root(grove):
    await grove.plant(child())
    await grove.ask("c", "say", word={"t": "event", "event": "tree_stopping", "data": {}})
    await grove.see("worker_misbehaved", "c")
    assert not grove.seen("tree_stopping")


async def test_a_flood_of_valid_frames_does_not_starve_the_others(grove):
    await grove.plant(child("noisy", manner="flood", with_={"valid": True}), child("quiet"))
    await grove.see("noise", "noisy", times=600)
    with trio.fail_after(10):
        assert await grove.ask("quiet", "echo", word="still here") == {"word": "still here"}


async def test_rest_for_one_restarts_those_after_it_in_the_group(grove):
    await grove.plant(child("a", group="g", order=0), child("b", group="g", order=1), child("x", order=1))
    before = {name: grove.pid(name) for name in "abx"}
    os.kill(before["a"], signal.SIGKILL)
    await grove.see("worker_ready", "b", times=2)
    assert grove.pid("a") != before["a"]
    assert grove.pid("b") != before["b"]
    assert grove.pid("x") == before["x"]
    started = [event.child for event in grove.events if event.name in ("worker_ready", "worker_started")]
    assert started[-4:] == ["a", "a", "b", "b"]


async def test_the_hook_decides_what_follows_from_an_exit(grove):
    asked = []

    def escalate(spec, end) -> Decision:
        asked.append((spec.name, end.code, end.was_ready))
        return Decision.ESCALATE

    grove.hooks["on_child_exit"] = escalate
    await grove.plant(child("a"), child("b"))
    grove.tell("a", "crash", code=5)
    with trio.fail_after(20):
        await grove.ended.wait()
    assert asked == [("a", 5, True)]
    assert grove.exit_code == 70
    assert grove.seen("worker_exited", "b", expected=True)


async def test_the_program_round_it_hears_every_beat(grove):
    beats = []
    grove.hooks["on_beat"] = lambda *beat: beats.append(beat)
    await grove.plant(child(beat_interval_s=0.1))
    await grove.ask("c", "stat", saturation=0.25)
    await grove.until(lambda: beats and beats[-1][2].stats)
    name, pid, beat = beats[-1]
    assert (name, pid, beat.stats) == ("c", grove.pid("c"), {"saturation": 0.25})


async def test_a_child_can_be_kept_from_what_the_root_inherited(grove, monkeypatch):
    for name in ("SECRET_TOKEN", "NOTIFY_SOCKET", "LISTEN_FDS", "PLAIN"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent")
    await grove.plant(child(without_env=("SECRET_",), env={"OWN": "1"}))
    environ = await trio.Path(f"/proc/{grove.pid('c')}/environ").read_bytes()
    names = {entry.partition(b"=")[0] for entry in environ.split(b"\0")}
    assert {b"PLAIN", b"OWN", b"SUPERVISOR_PIPE"} <= names
    assert not {b"SECRET_TOKEN", b"NOTIFY_SOCKET", b"LISTEN_FDS"} & names


async def test_asking_fails_clearly(grove):
    await grove.plant(child())
    with pytest.raises(ControlError, match="does not answer sing"):
        await grove.ask("c", "sing")
    with pytest.raises(ControlError, match="TypeError"):
        await grove.ask("c", "health", wrong=1)
    assert grove.state("c") == "ready"


async def test_an_ask_in_flight_ends_when_the_child_does(grove):
    await grove.plant(child())
    with pytest.raises(ControlError, match="it exited"):
        await grove.ask("c", "crash")


async def test_sigterm_stops_in_order_and_a_second_one_at_once(grove):
    await grove.plant(child("a", order=0), child("b", manner="stubborn", order=1, stop_timeout_s=30))
    os.kill(os.getpid(), signal.SIGTERM)
    await grove.see("worker_stopping", "b")
    assert grove.state("a") == "ready"
    os.kill(os.getpid(), signal.SIGTERM)
    with trio.fail_after(5):
        await grove.ended.wait()
    assert grove.exit_code == 0


async def test_a_stop_interrupts_the_start(grove):
    await grove.plant(child("a", manner="mute", order=0), child("b", order=1), settled=False)
    await grove.see("worker_started", "a")
    assert await grove.fell() == 0
    assert not grove.seen("worker_started", "b")


async def test_unhealthy_children_say_so(grove):
    await grove.plant(child(beat_interval_s=0.1))
    await grove.ask("c", "health", healthy=False, reason="no feed")
    slot = grove.running.tree.slots["c"]
    await grove.until(lambda: slot.beat is not None and not slot.beat.healthy)
    assert slot.beat.reason == "no feed"


async def test_the_hard_memory_limit_kills(grove):
    await grove.plant(child(memory_hard_bytes=120_000_000))
    grove.tell("c", "eat", size=150_000_000)
    await grove.see("worker_memory", "c", limit="hard")
    await grove.see("worker_replaced", "c")


async def test_the_soft_memory_limit_recycles_in_order(grove):
    await grove.plant(child(memory_soft_bytes=120_000_000))
    grove.tell("c", "eat", size=150_000_000)
    await grove.see("worker_memory", "c", limit="soft")
    await grove.see("left", "c")
    await grove.see("worker_ready", "c", times=2)
    assert not grove.seen("worker_killed")
