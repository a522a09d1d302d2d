"""What is impossible in a tree, and how it is said."""

import pytest

from supervisor.backoff import Backoff
from supervisor.errors import SpecError
from supervisor.intensity import Intensity
from supervisor.reload import plan
from supervisor.spec import Autoscale, ChildSpec, ListenerSpec, PoolSpec, Restart, TreeSpec


def child(name: str = "c", **fields) -> ChildSpec:
    return ChildSpec(**{"name": name, "argv": ("prog",)} | fields)


def pool(name: str = "p", **fields) -> PoolSpec:
    return PoolSpec(**{"name": name, "template": child("t"), "size": 2} | fields)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: child("Bad Name"), "child.name: got 'Bad Name', allowed: 1 to 63 of a-z"),
        (lambda: child(argv=()), "child c: argv: got (), allowed: a program and its arguments"),
        (lambda: child(restart="sometimes"), "child c: restart: got 'sometimes', allowed: permanent, transient, temp"),
        (lambda: child(beat_misses=0), "child c: beat_misses: got 0, allowed: 1 or more"),
        (lambda: child(ready_timeout_s=0), "child c: ready_timeout_s: got 0, allowed: seconds above 0"),
        (lambda: child(stop_signal=999), "child c: stop_signal: got 999, allowed: a signal number"),
        (lambda: child(memory_soft_bytes=0), "child c: memory_soft_bytes: got 0, allowed: bytes above 0, or none"),
        (
            lambda: child(memory_soft_bytes=2, memory_hard_bytes=1),
            "child c: memory_soft_bytes: got 2, allowed: at most memory_hard_bytes (1)",
        ),
        (lambda: pool(strategy="luck"), "pool p: strategy: got 'luck', allowed: round_robin, least_loaded, consist"),
        (lambda: pool(size=9, maximum=8), "pool p: size: got 9, allowed: 1 to 8"),
        (lambda: pool(minimum=5, maximum=4), "pool p: minimum: got 5, allowed: 1 to maximum (4)"),
        (lambda: pool(keys=("k", "k")), "pool p: keys: got 'k', allowed: each once"),
        (lambda: ListenerSpec(name="l", port=70000), "listener l: port: got 70000, allowed: 0 to 65535"),
        (lambda: TreeSpec(children=(child(), child())), "tree: name: got 'c', allowed: each once"),
        (lambda: TreeSpec(children=(child("p"),), pools=(pool(),)), "tree: name: got 'p', allowed: each once"),
        (lambda: TreeSpec(children=(child("p.7"),), pools=(pool(),)), "tree: name: got 'p.7', allowed: not a member's"),
        (
            lambda: TreeSpec(children=(child(listeners=("web",)),), listeners=(ListenerSpec(name="api"),)),
            "child c: listeners: got 'web', allowed: api",
        ),
        (lambda: Autoscale(saturation_down=0.9), "autoscale.saturation_down: got 0.9, allowed: 0 or more, below"),
        (lambda: Autoscale(cpu=1.5), "autoscale.cpu: got 1.5, allowed: above 0, at most 1"),
        (lambda: Backoff(initial_s=60), "backoff.initial_s: got 60, allowed: above 0 and at most max_s (30.0)"),
        (lambda: Backoff(factor=0.5), "backoff.factor: got 0.5, allowed: 1 or more"),
        (lambda: Intensity(window_s=0), "intensity.window_s: got 0, allowed: above 0"),
    ],
)
def test_a_bad_value_is_named_with_what_came_and_what_is_allowed(make, said):
    with pytest.raises(SpecError) as refused:
        make()
    assert str(refused.value).startswith(said)
    assert refused.value.exit_code == 78


def test_members_are_named_after_their_pool():
    member = pool().member(1)
    assert (member.name, member.pool) == ("p.1", "p")


def test_an_unchanged_tree_needs_nothing():
    tree = TreeSpec(children=(child(),), pools=(pool(),))
    assert plan(tree, tree).as_json() == {"added": [], "removed": [], "live": {}, "replaced": {}, "refused": []}


def test_a_plan_says_what_happens_to_whom():
    old = TreeSpec(children=(child("a"), child("b"), child("c")), pools=(pool(), pool("q")))
    new = TreeSpec(
        children=(child("a", restart=Restart.TRANSIENT), child("b", settings={"x": 1}), child("d")),
        pools=(pool(keys=("k",)), pool("q", template=child("t", argv=("other",)))),
        listeners=(ListenerSpec(name="web"),),
        backoff=Backoff(max_s=9),
        fixed={"metrics.port": 2},
    )
    assert plan(old, new).as_json() == {
        "added": ["d"],
        "removed": ["c"],
        "live": {"a": ["restart"], "p": ["keys"], "tree": ["backoff"]},
        "replaced": {"b": ["settings"], "q": ["argv"]},
        "refused": ["listeners: needs a restart of the root", "metrics.port: needs a restart of the root"],
    }


def test_what_was_a_child_and_is_a_pool_now_goes_and_comes():
    made = plan(TreeSpec(children=(child("x"),)), TreeSpec(pools=(pool("x"),)))
    assert (made.removed, made.added, made.replaced) == (("x",), ("x",), {})


def test_of_settings_the_keys_are_named_and_no_value():
    before = {"log": {"level": "info"}, "db": {"password": "old", "port": 1}, "gone": 1}
    after = {"log": {"level": "info"}, "db": {"password": "new", "port": 1}, "list": [1]}
    made = plan(
        TreeSpec(children=(child("a", settings=before),), pools=(pool("p", template=child("t", settings=before)),)),
        TreeSpec(children=(child("a", settings=after),), pools=(pool("p", template=child("t", settings=after)),)),
    )
    named = ("settings.db.password", "settings.gone", "settings.list")
    assert made.replaced == {"a": named, "p": named}
    assert made.resettled == ("a", "p")
    assert made.with_live(["p"]).as_json() == {
        "added": [], "removed": [], "live": {"p": list(named)}, "replaced": {"a": list(named)}, "refused": [],
    }  # fmt: skip
