"""Pools of real processes: keys, calls, scaling, rolling restarts, inherited sockets."""

import os
import signal
from collections import Counter

import pytest
import trio

from supervisor.circuit import Circuit
from supervisor.errors import ControlError
from supervisor.spec import Autoscale, ListenerSpec, PoolSpec, Strategy
from tests.integration.supervisor.grove import PATIENCE_S, child

KEYS = tuple(f"key-{n}" for n in range(8))


def pool(size: int = 2, **fields) -> PoolSpec:
    template = fields.pop("template", None) or child("template")
    return PoolSpec(**{"name": "p", "template": template, "size": size, "maximum": 4, "keys": KEYS} | fields)


class Owners:
    """Follow who says it owns what, and note every key that ever had two owners."""

    def __init__(self, grove) -> None:
        self._grove = grove
        self.now: dict[str, set[str]] = {}
        self.doubled: list[str] = []
        self._read = 0

    def follow(self) -> "Owners":
        for event in self._grove.events[self._read :]:
            if event.name == "owns":
                self.now[event.child] = set(event.data["keys"])
            elif event.name == "worker_exited":
                self.now.pop(event.child, None)
            counts = Counter(key for keys in self.now.values() for key in keys)
            self.doubled += [key for key, owners in counts.items() if owners > 1]
        self._read = len(self._grove.events)
        return self

    def are_complete(self) -> bool:
        self.follow()
        return sorted(key for keys in self.now.values() for key in keys) == sorted(KEYS)


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_every_key_gets_one_owner(grove, strategy):
    await grove.plant(pools=(pool(strategy=strategy),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    assert set(owners.now) <= {"p.0", "p.1"}
    assert not owners.doubled


async def test_keys_move_by_release_then_assign(grove):
    running = await grove.plant(pools=(pool(strategy=Strategy.ROUND_ROBIN),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    running.fleet.scale("p", 4, why="test")
    evenly = {f"p.{n}": 2 for n in range(4)}
    await grove.until(
        lambda: owners.are_complete() and {name: len(keys) for name, keys in owners.now.items()} == evenly
    )
    running.fleet.scale("p", 1, why="test")
    await grove.until(lambda: owners.are_complete() and len(running.tree.slots) == 1)
    assert not owners.doubled
    assert [event.data["size"] for event in grove.seen("pool_scaled")] == [4, 1]
    assert not grove.seen("worker_killed")


async def test_a_killed_member_gets_its_keys_back(grove):
    await grove.plant(pools=(pool(),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    before = {name: set(keys) for name, keys in owners.now.items()}
    os.kill(grove.pid("p.0"), signal.SIGKILL)
    await grove.see("worker_replaced", "p.0")
    await grove.until(owners.are_complete)
    assert owners.now == before
    assert not owners.doubled


async def test_the_keys_of_a_member_that_stays_away_go_elsewhere(grove):
    await grove.plant(pools=(pool(),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    grove.running.tree.apply("p.0", "unwant")
    await grove.until(lambda: owners.are_complete() and set(owners.now) == {"p.1"})
    assert not owners.doubled


async def test_a_size_beyond_the_bounds_is_refused(grove):
    running = await grove.plant(pools=(pool(),))
    with pytest.raises(ControlError, match="pool p has 1 to 4 members, not 9"):
        running.fleet.scale("p", 9, why="test")


async def test_calls_go_round(grove):
    running = await grove.plant(pools=(pool(strategy=Strategy.ROUND_ROBIN),))
    assert [running.fleet.choose("p").spec.name for _ in range(4)] == ["p.0", "p.1"] * 2


async def test_calls_avoid_the_loaded_member(grove):
    running = await grove.plant(pools=(pool(strategy=Strategy.LEAST_LOADED, template=child("t", beat_interval_s=0.1)),))
    await grove.ask("p.0", "stat", saturation=0.9)
    await grove.until(lambda: running.fleet.stats(running.fleet.pools["p"]).saturation > 0.4)
    assert {running.fleet.choose("p").spec.name for _ in range(4)} == {"p.1"}


async def call(address: tuple[str, int]) -> int:
    """Connect, ask for the pid, as a client would; raises if it is refused or cut off."""
    with trio.fail_after(10):
        stream = await trio.open_tcp_stream(*address)
        async with stream:
            await stream.send_all(b"?\n")
            return int(await stream.receive_some(100))


async def test_a_rolling_restart_loses_no_connection(grove):
    listening = child("t", listeners=("web",), stop_timeout_s=5)
    running = await grove.plant(pools=(pool(keys=(), template=listening),), listeners=(ListenerSpec(name="web"),))
    before = {grove.pid("p.0"), grove.pid("p.1")}
    answers: Counter[int] = Counter()

    async def load(scope: trio.CancelScope) -> None:
        with scope:
            while True:
                pid = await call(grove.addresses["web"])
                answers[pid] += 1

    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(4)]
        for scope in scopes:
            nursery.start_soon(load, scope)
        assert await running.fleet.roll("p", reason="test") == ["p.0", "p.1"]
        for scope in scopes:
            scope.cancel()
    after = {grove.pid("p.0"), grove.pid("p.1")}
    assert not before & after
    assert answers.keys() & before
    assert answers.keys() & after
    assert set(running.tree.slots) == {"p.0", "p.1"}
    assert not grove.seen("worker_killed")


async def test_connections_wait_while_every_member_is_dead(grove):
    listening = child("t", listeners=("web",))
    await grove.plant(pools=(pool(1, keys=(), template=listening),), listeners=(ListenerSpec(name="web"),))
    os.kill(grove.pid("p.0"), signal.SIGKILL)
    assert await call(grove.addresses["web"]) == grove.pid("p.0")


async def test_a_connection_that_has_not_spoken_is_no_members_yet(grove):
    listening = child("t", listeners=("web",))
    listener = ListenerSpec(name="web", defer_accept_s=30)
    await grove.plant(pools=(pool(1, keys=(), template=listening),), listeners=(listener,))
    with trio.fail_after(PATIENCE_S):
        stream = await trio.open_tcp_stream(*grove.addresses["web"])
        async with stream:
            for _ in range(3):  # turns of its loop, in which it would have accepted
                await grove.ask("p.0", "echo")
            os.kill(grove.pid("p.0"), signal.SIGKILL)
            await grove.see("worker_replaced", "p.0")
            await stream.send_all(b"?\n")
            assert int(await stream.receive_some(100)) == grove.pid("p.0")


async def test_a_rolling_restart_moves_keys_and_never_doubles_them(grove):
    running = await grove.plant(pools=(pool(),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    await running.fleet.roll("p", reason="test")
    await grove.until(lambda: owners.are_complete() and set(owners.now) <= {"p.0", "p.1"})
    assert not owners.doubled


async def test_a_member_that_is_unhealthy_for_long_is_replaced_beside_a_spare(grove, monkeypatch):
    monkeypatch.setattr("supervisor.circuit.SPACING_S", 0.1)
    await grove.plant(pools=(pool(template=child("t", beat_interval_s=0.1)),))
    await grove.ask("p.1", "health", healthy=False, reason="deaf")
    opened = await grove.see("breaker_opened", "p.1")
    assert opened.data["reason"] == "deaf"
    await grove.see("worker_ready", "p.2")
    await grove.see("worker_ready", "p.1", times=2)
    await grove.see("breaker_closed", "p.1")
    await grove.see("child_removed", "p.2")


async def test_autoscaling_grows_and_says_why(grove, monkeypatch):
    monkeypatch.setattr("supervisor.fleet.SAMPLE_S", 1)
    scaling = Autoscale(samples_up=1, cooldown_s=60)
    running = await grove.plant(
        pools=(pool(keys=(), minimum=2, autoscale=scaling, template=child("t", beat_interval_s=0.1)),)
    )
    for name in ("p.0", "p.1"):
        await grove.ask(name, "stat", saturation=0.95)
    scaled = await grove.see("pool_scaled")
    assert (scaled.data["before"], scaled.data["size"]) == (2, 3)
    assert scaled.data["why"] == "over the limit: saturation"
    await grove.see("worker_ready", "p.2")
    assert running.fleet.pools["p"].verdict.signs["saturation"]["value"] == 0.95


async def test_a_size_that_was_asked_for_is_held_until_autoscaling_may_decide_again(grove, monkeypatch):
    monkeypatch.setattr("supervisor.fleet.SAMPLE_S", 1)
    eager = Autoscale(samples_down=1, cooldown_s=0)
    running = await grove.plant(
        pools=(pool(keys=(), minimum=2, autoscale=eager, template=child("t", beat_interval_s=0.1)),)
    )
    fleet = running.fleet
    fleet.hold("p", 3)
    await grove.see("worker_ready", "p.2")
    with trio.fail_after(30):
        while (verdict := fleet.pools["p"].verdict) is None or verdict.size >= 3:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.05)
    assert fleet.pools["p"].size == 3
    fleet.hold("p", 0)
    await grove.see("child_removed", "p.2")
    assert [event.data["size"] for event in grove.seen("pool_scaled")] == [3, 2]


def test_a_circuit_counts_reports_ten_seconds_apart():
    circuit = Circuit()
    for now in (0.0, 1.0, 9.9, 10.0, 19.0):
        circuit = circuit.seen(False, now)
    assert not circuit.is_open
    assert circuit.seen(False, 20.0).is_open
    assert not circuit.seen(False, 20.0).seen(True, 21.0).is_open


async def test_scaling_while_rolling_ends_at_the_wanted_size(grove):
    running = await grove.plant(pools=(pool(keys=()),))
    async with trio.open_nursery() as nursery:

        async def roll() -> None:
            await running.fleet.roll("p", reason="test")

        nursery.start_soon(roll)
        await grove.see("worker_started", "p.2")
        running.fleet.scale("p", 3, why="test")
    await grove.until(lambda: sorted(running.tree.slots) == ["p.0", "p.1", "p.3"])
    assert running.fleet.pools["p"].size == 3


async def test_two_rolls_at_once_are_two_whole_ones(grove):
    running = await grove.plant(pools=(pool(keys=()),))
    renewed = []

    async def roll() -> None:
        renewed.append(await running.fleet.roll("p", reason="test"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(roll)
        await grove.see("worker_stopping", "p.0")
        nursery.start_soon(roll)
    assert renewed == [["p.0", "p.1"]] * 2
    await grove.until(lambda: sorted(running.tree.slots) == ["p.0", "p.1"])


async def test_a_member_is_replaced_once_however_often_it_is_due(grove):
    running = await grove.plant(pools=(pool(keys=()),))
    for _ in range(3):
        running.fleet.replace(running.tree.slots["p.1"], "memory")
    await grove.see("pool_rolled", reason="memory")
    assert await running.fleet.roll("p", reason="test") == ["p.0", "p.1"]
    assert len(grove.seen("pool_rolled")) == 2


async def test_members_that_never_drain_are_rolled_all_the_same(grove):
    stubborn = child("t", "stubborn", stop_timeout_s=0.3)
    running = await grove.plant(pools=(pool(keys=(), template=stubborn),))
    before = {grove.pid("p.0"), grove.pid("p.1")}
    assert await running.fleet.roll("p", reason="test") == ["p.0", "p.1"]
    assert not {grove.pid("p.0"), grove.pid("p.1")} & before
    assert len(grove.seen("worker_killed", reason="stop_timeout")) == 3  # the spare too


async def test_a_roll_ends_when_somebody_stops_the_pool(grove):
    running = await grove.plant(pools=(pool(keys=(), template=child("t", "mute", ready_timeout_s=60)),), settled=False)
    for name in ("p.0", "p.1"):
        await grove.see("worker_started", name)

    async def roll() -> None:
        with pytest.raises(ControlError, match=r"p\.2 did not get ready"):
            await running.fleet.roll("p", reason="test")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(roll)
        await grove.see("worker_started", "p.2")
        for slot in running.fleet.members(running.fleet.pools["p"]):
            running.tree.apply(slot.spec.name, "unwant")


async def test_a_roll_that_fails_leaves_the_rest_serving(grove):
    running = await grove.plant(pools=(pool(keys=()),))
    old = running.fleet.pools["p"].spec
    broken = PoolSpec(name="p", template=child("t", exits=78), size=2, maximum=4)
    running.fleet.update(broken)
    with pytest.raises(ControlError, match=r"p\.2 did not get ready"):
        await running.fleet.roll("p", reason="test")
    assert {grove.state("p.0"), grove.state("p.1")} == {"ready"}
    running.fleet.update(old)
    await grove.until(lambda: sorted(running.tree.slots) == ["p.0", "p.1"])
    assert await running.fleet.roll("p", reason="test") == ["p.0", "p.1"]


async def test_a_rolling_restart_leaves_alone_what_the_operator_stopped(grove):
    running = await grove.plant(pools=(pool(keys=()),))
    running.tree.apply("p.0", "unwant")
    await grove.until(lambda: grove.state("p.0") == "stopped")
    assert await running.fleet.roll("p", reason="test") == ["p.1"]
    assert grove.state("p.0") == "stopped"


async def test_scaling_twice_in_a_row_ends_at_the_last_size(grove):
    running = await grove.plant(pools=(pool(4, keys=()),))
    running.fleet.scale("p", 1, why="test")
    running.fleet.scale("p", 3, why="test")
    await grove.until(lambda: len(running.tree.slots) == 3)
    await grove.until(lambda: {slot.life.state for slot in running.tree.slots.values()} == {"ready"})


async def test_without_keys_members_are_told_to_let_go(grove):
    running = await grove.plant(pools=(pool(),))
    owners = Owners(grove)
    await grove.until(owners.are_complete)
    running.fleet.update(pool(keys=()))
    await grove.until(lambda: not any(owners.follow().now.values()))


async def test_a_member_that_never_confirms_is_replaced(grove):
    deaf = child("t", "deaf", ready_timeout_s=5, stop_timeout_s=0.5)
    await grove.plant(pools=(pool(1, template=deaf),))
    await grove.see("worker_misbehaved", "p.0", fault="assigned keys not confirmed in 5.5 s")
    await grove.see("worker_killed", "p.0", reason="assign")
