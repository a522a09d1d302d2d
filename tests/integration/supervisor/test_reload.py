"""A new description replaces the running one: live where it can, by fresh processes where it must."""

from dataclasses import replace

import pytest
import trio

from supervisor.errors import ControlError
from supervisor.intensity import Intensity
from supervisor.machine import Kind
from supervisor.spec import ListenerSpec, PoolSpec, TreeSpec
from tests.integration.supervisor.grove import CHILD, QUICK, child


class Configuration:
    """What the tree reads when it reloads."""

    def __init__(self, **fields) -> None:
        self.tree = TreeSpec(backoff=QUICK, **fields)

    def change(self, **fields) -> None:
        self.tree = replace(self.tree, **fields)

    def read(self) -> TreeSpec:
        return self.tree


@pytest.fixture
def configured(grove):
    async def plant(**fields) -> Configuration:
        configuration = Configuration(**fields)
        await grove.plant_tree(configuration.tree, reload=configuration.read)
        return configuration

    return plant


async def test_settings_are_taken_live_by_a_child_that_can(grove, configured):
    configuration = await configured(children=(child("able", "adaptable"), child("unable")))
    before = {name: grove.pid(name) for name in ("able", "unable")}
    configuration.change(children=(child("able", "adaptable", settings={"n": 2}), child("unable", settings={"n": 2})))
    await grove.running.reloader.reload(False)
    await grove.see("worker_ready", "unable", times=2)
    assert grove.pid("able") == before["able"]
    assert (await grove.ask("able", "settings"))["n"] == 2
    assert grove.pid("unable") != before["unable"]
    assert (await grove.ask("unable", "settings"))["n"] == 2


async def test_a_dry_run_tells_who_would_take_its_settings_live(grove, configured):
    pool = PoolSpec(name="p", template=child("t", "adaptable"), size=2)
    configuration = await configured(children=(child("able", "adaptable"), child("unable")), pools=(pool,))
    changed = {"settings": {"n": 2}}
    configuration.change(
        children=(child("able", "adaptable", **changed), child("unable", **changed)),
        pools=(replace(pool, template=child("t", "adaptable", **changed)),),
    )
    for dry_run in (True, False):
        plan = await grove.running.reloader.reload(dry_run)
        assert plan["live"] == {"able": ["settings.n"], "p": ["settings.n"]}
        assert plan["replaced"] == {"unable": ["settings.n"]}
        settings = [(await grove.ask(name, "settings")).get("n") for name in ("able", "p.0", "p.1")]
        assert settings == [None if dry_run else 2] * 3


async def test_what_somebody_stopped_stays_stopped_whatever_changes(grove, configured):
    configuration = await configured(children=(child("a"), child("b")))
    grove.running.tree.apply("a", Kind.UNWANT)
    await grove.until(lambda: grove.state("a") == "stopped")
    configuration.change(children=(child("a", settings={"n": 2}), child("b", settings={"n": 2})))
    await grove.running.reloader.reload(False)
    await grove.see("worker_ready", "b", times=2)
    assert grove.state("a") == "stopped"
    grove.running.tree.apply("a", Kind.WANT)
    await grove.see("worker_ready", "a", times=2)
    assert (await grove.ask("a", "settings"))["n"] == 2


async def test_a_child_becomes_a_pool(grove, configured):
    configuration = await configured(children=(child("x"),))
    configuration.change(children=(), pools=(PoolSpec(name="x", template=child("x"), size=1),))
    await grove.running.reloader.reload(False)
    await grove.until(lambda: sorted(grove.running.tree.slots) == ["x.0"])
    await grove.see("worker_ready", "x.0")


async def test_what_is_on_its_way_out_comes_back_with_its_new_description(grove, configured):
    configuration = await configured(children=(child("a", "stubborn", stop_timeout_s=0.5), child("b")))
    configuration.change(children=(child("b"),))
    await grove.running.reloader.reload(False)
    assert grove.state("a") == "draining"
    configuration.change(children=(child("a", settings={"n": 2}), child("b")))
    await grove.running.reloader.reload(False)
    await grove.see("worker_ready", "a", times=2)
    assert (await grove.ask("a", "settings"))["n"] == 2
    assert not grove.seen("child_removed")


async def test_a_pool_changes_its_keys_and_size_live(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=2, maximum=4, keys=("k1", "k2"))
    configuration = await configured(pools=(pool,))
    before = {grove.pid("p.0"), grove.pid("p.1")}
    configuration.change(pools=(replace(pool, keys=("k2", "k3"), size=3),))
    await grove.running.reloader.reload(False)
    fleet, slots = grove.running.fleet, grove.running.tree.slots
    await grove.until(lambda: len(slots) == 3 and {key for slot in slots.values() for key in fleet.keys_of(slot)}
                      == {"k2", "k3"})  # fmt: skip
    assert {grove.pid("p.0"), grove.pid("p.1")} == before


async def test_a_pool_with_another_program_rolls(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=2, maximum=4)
    configuration = await configured(pools=(pool,))
    before = {grove.pid("p.0"), grove.pid("p.1")}
    configuration.change(pools=(replace(pool, template=child("t", env={"NEW": "1"})),))
    plan = await grove.running.reloader.reload(False)
    assert plan["replaced"] == {"p": ["env"]}
    assert not {grove.pid("p.0"), grove.pid("p.1")} & before
    assert grove.seen("pool_rolled", reason="reload")


async def test_pools_come_and_go(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=2)
    configuration = await configured(children=(child("c"),), pools=(pool,))
    configuration.change(pools=(replace(pool, name="q"),))
    await grove.running.reloader.reload(False)
    await grove.until(lambda: sorted(grove.running.tree.slots) == ["c", "q.0", "q.1"])
    await grove.see("worker_ready", "q.1")


async def test_a_dry_run_changes_nothing(grove, configured):
    configuration = await configured(children=(child("a"),))
    configuration.change(children=(child("b"),))
    plan = await grove.running.reloader.reload(True)
    assert (plan["added"], plan["removed"]) == (["b"], ["a"])
    assert list(grove.running.tree.slots) == ["a"]


async def test_a_child_on_a_listener_that_is_not_there_yet_is_refused(grove, configured):
    configuration = await configured(children=(child("a"),))
    configuration.change(children=(child("a", listeners=("web",)),), listeners=(ListenerSpec(name="web"),))
    with pytest.raises(ControlError, match="needs a restart of the root: child a: listeners"):
        await grove.running.reloader.reload(False)
    assert grove.seen("reload_refused")
    assert grove.running.tree.slots["a"].spec.listeners == ()


async def test_a_description_that_cannot_be_read_changes_nothing(grove):
    def broken() -> TreeSpec:
        raise FileNotFoundError("tree.toml")

    await grove.plant_tree(TreeSpec(children=(child("a"),)), reload=broken)
    with pytest.raises(ControlError, match=r"the new configuration is refused: tree\.toml"):
        await grove.running.reloader.reload(False)
    assert grove.state("a") == "ready"


async def test_a_roll_that_fails_is_reported(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=1)
    configuration = await configured(pools=(pool,))
    configuration.change(pools=(replace(pool, template=child("t", exits=78)),))
    with pytest.raises(ControlError, match="did not get ready"):
        await grove.running.reloader.reload(False)
    assert grove.state("p.0") == "ready"
    assert grove.seen("reload_refused")


async def test_a_roll_that_fails_holds_up_nobody_and_is_due_again(grove, configured, tmp_path):
    program = tmp_path / "program"
    pools = tuple(PoolSpec(name=name, template=child("t"), size=1) for name in ("p", "q"))
    configuration = await configured(pools=pools, intensity=Intensity(restarts=0))
    before = {name: grove.pid(name) for name in ("p.0", "q.0")}
    changed = (child("t", argv=(str(program),)), child("t", role="new"))
    configuration.change(pools=tuple(replace(old, template=new) for old, new in zip(pools, changed, strict=True)))
    with pytest.raises(ControlError, match=r"p\.1 did not get ready"):
        await grove.running.reloader.reload(False)
    assert grove.pid("p.0") == before["p.0"]
    assert grove.pid("q.0") != before["q.0"]
    program.write_text(f"#!/bin/sh\nexec {' '.join(CHILD)}\n")
    program.chmod(0o755)
    for dry_run in (True, False):
        assert (await grove.running.reloader.reload(dry_run))["replaced"] == {"p": ["argv"]}
    assert grove.pid("p.0") != before["p.0"]
    assert (await grove.running.reloader.reload(True))["replaced"] == {}


async def test_what_is_due_again_is_not_forgotten_over_settings_taken_live(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=1)
    configuration = await configured(pools=(pool,), intensity=Intensity(restarts=0))
    broken = replace(pool, template=child("t", argv=("/no/such/program",)))
    configuration.change(pools=(broken,))
    with pytest.raises(ControlError, match="did not get ready"):
        await grove.running.reloader.reload(False)
    configuration.change(pools=(replace(broken, template=replace(broken.template, settings={"manner": "other"})),))
    assert (await grove.running.reloader.reload(True))["replaced"] == {
        "p": ["argv", "settings.manner", "settings.with"]
    }


async def test_a_pool_that_is_due_again_may_become_a_child(grove, configured):
    pool = PoolSpec(name="p", template=child("t"), size=1)
    configuration = await configured(pools=(pool,), intensity=Intensity(restarts=0))
    configuration.change(pools=(replace(pool, template=child("t", argv=("/no/such/program",))),))
    with pytest.raises(ControlError, match="did not get ready"):
        await grove.running.reloader.reload(False)
    configuration.change(pools=(), children=(child("p"),))
    await grove.running.reloader.reload(False)
    await grove.until(lambda: grove.state("p") == "ready")


async def test_policies_change_live(grove, configured):
    configuration = await configured(children=(child("a"),))
    configuration.change(backoff=replace(QUICK, max_s=0.1))
    plan = await grove.running.reloader.reload(False)
    assert plan["live"] == {"tree": ["backoff"]}
    assert grove.running.tree.spec.backoff.max_s == 0.1


async def test_a_unix_socket_is_served_too(grove, tmp_path):
    path = tmp_path / "web.sock"
    listeners = (ListenerSpec(name="web", path=path),)
    await grove.plant_tree(TreeSpec(children=(child("a", listeners=("web",)),), listeners=listeners))
    assert grove.addresses == {"web": (str(path), 0)}
    with trio.fail_after(10):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b"?\n")
            assert int(await stream.receive_some(100)) == grove.pid("a")
