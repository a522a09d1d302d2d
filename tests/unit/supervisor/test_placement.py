"""Where keys and calls go, and how keys move."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.placement import Member, choose, place
from supervisor.pool import Holding, MemberStats, assignments, summary
from supervisor.spec import Strategy

KEYS = [f"key-{n}" for n in range(40)]


def members(count: int, **fields) -> list[Member]:
    return [Member(name=f"m.{n}", **{name: values[n] for name, values in fields.items()}) for n in range(count)]


@pytest.mark.parametrize("strategy", list(Strategy))
@given(count=st.integers(1, 8), keys=st.sets(st.text(min_size=1, max_size=8), max_size=20), loads=st.data())
def test_every_key_has_exactly_one_member(strategy, count, keys, loads):
    share = st.floats(0, 1)
    known = [Member(name=f"m.{n}", load=loads.draw(share), cpu=loads.draw(share), latency_s=loads.draw(share))
             for n in range(count)]  # fmt: skip
    placed = place(strategy, keys, known, {})
    assert placed.keys() == keys
    assert set(placed.values()) <= {member.name for member in known}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_without_members_nothing_is_placed(strategy):
    assert place(strategy, KEYS, [], {}) == {}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_placing_again_moves_nothing(strategy):
    known = members(3, load=[0.1, 0.5, 0.9], cpu=[0.9, 0.2, 0.1], latency_s=[0.01, 0.02, 0.05])
    placed = place(strategy, KEYS, known, {})
    assert place(strategy, KEYS, known, placed) == placed


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_member_that_leaves_moves_few_keys_but_its_own(strategy):
    before = place(strategy, KEYS, members(4), {})
    after = place(strategy, KEYS, members(3), before)
    moved = [key for key in KEYS if before[key] != after[key] and before[key] != "m.3"]
    assert len(moved) <= len(KEYS) // 8


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_hash_leaves_no_member_with_far_more_than_its_share(count):
    placed = place(Strategy.CONSISTENT_HASH, KEYS[:4], members(count), {})
    assert max(Counter(placed.values()).values()) == -(-4 // count)


def test_round_robin_deals_evenly():
    placed = place(Strategy.ROUND_ROBIN, KEYS, members(4), {})
    assert set(Counter(placed.values()).values()) == {10}


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        (Strategy.LEAST_LOADED, {"load": [0.9, 0.1]}),
        (Strategy.LEAST_LOADED, {"queue": [50.0, 1.0]}),
        (Strategy.LATENCY, {"latency_s": [0.5, 0.01]}),
        (Strategy.ADAPTIVE, {"cpu": [0.9, 0.1]}),
        (Strategy.ADAPTIVE, {"memory": [0.9, 0.1]}),
        (Strategy.ADAPTIVE, {"latency_s": [0.5, 0.1]}),
        (Strategy.ADAPTIVE, {"errors": [0.5, 0.0]}),
    ],
)
def test_the_better_member_gets_more_keys_and_the_call(strategy, fields):
    known = members(2, **fields)
    counts = Counter(place(strategy, KEYS, known, {}).values())
    assert counts["m.1"] > counts["m.0"]
    assert choose(strategy, known) == "m.1"


def test_calls_go_round_or_by_their_key():
    assert [choose(Strategy.ROUND_ROBIN, members(3), turn=turn) for turn in range(4)] == ["m.0", "m.1", "m.2", "m.0"]
    chosen = {choose(Strategy.CONSISTENT_HASH, members(3), key=key) for key in KEYS}
    assert chosen == {"m.0", "m.1", "m.2"}
    assert len({choose(Strategy.CONSISTENT_HASH, members(3), key="k", turn=turn) for turn in range(9)}) == 1


def test_a_key_is_released_before_it_is_given():
    a, b = frozenset({"x", "y"}), frozenset()
    target = {"x": "a", "y": "b"}
    assert assignments(target, [Holding("a", a, a), Holding("b", b, b)]) == {"a": frozenset("x")}
    # told, not confirmed: nothing yet for b
    assert assignments(target, [Holding("a", frozenset("x"), a), Holding("b")]) == {}
    assert assignments(target, [Holding("a", frozenset("x"), frozenset("x")), Holding("b")]) == {"b": frozenset("y")}


def test_a_key_stays_until_its_next_owner_is_ready():
    held = Holding("a", frozenset("x"), frozenset("x"))
    assert assignments({"x": "b"}, [held, Holding("b", is_ready=False)]) == {}
    assert assignments({"x": "b"}, [held, Holding("b")]) == {"a": frozenset()}


def test_a_key_that_is_no_longer_wanted_is_dropped():
    assert assignments({}, [Holding("a", frozenset("x"), frozenset("x"))]) == {"a": frozenset()}


@given(st.data())
def test_moving_never_doubles_a_key_and_arrives(data):
    """Change targets, confirm late, kill members: no key is ever told to two living members."""
    names, keys = ["a", "b", "c"], ["k1", "k2", "k3", "k4"]
    holdings = {name: Holding(name) for name in names}
    target = {key: data.draw(st.sampled_from(names)) for key in keys}
    for _ in range(data.draw(st.integers(0, 15))):
        match data.draw(st.sampled_from(["retarget", "confirm", "kill", "settle", "unready"])):
            case "retarget":
                target = {key: data.draw(st.sampled_from(names)) for key in keys}
            case "confirm":
                name = data.draw(st.sampled_from(names))
                holdings[name] = Holding(name, holdings[name].told, holdings[name].told)
            case "kill":
                name = data.draw(st.sampled_from(names))
                holdings[name] = Holding(name)
            case "unready":
                name = data.draw(st.sampled_from(names))
                holdings[name] = Holding(name, holdings[name].told, holdings[name].confirmed, is_ready=False)
            case "settle":
                for name, told in assignments(target, list(holdings.values())).items():
                    holdings[name] = Holding(name, told, holdings[name].confirmed)
        busy = Counter(key for holding in holdings.values() for key in holding.busy)
        assert all(owners == 1 for owners in busy.values())
    for _ in range(3):
        holdings = {name: Holding(name, holding.told, holding.told) for name, holding in holdings.items()}
        for name, told in assignments(target, list(holdings.values())).items():
            holdings[name] = Holding(name, told, told)
    assert {key: name for name, holding in holdings.items() for key in holding.confirmed} == target


def test_a_pool_in_numbers_counts_the_ready_and_weighs_by_throughput():
    stats = summary(
        "p",
        [
            MemberStats(name="a", is_ready=True, throughput_per_s=90, latency_mean_s=0.01, latency_p99_s=0.02, queue=1),
            MemberStats(name="b", is_ready=True, is_healthy=False, throughput_per_s=10, latency_mean_s=0.11,
                        latency_p99_s=0.5, errors_per_s=5, saturation=1.0, memory=0.5),
            MemberStats(name="c", throughput_per_s=999),
        ],
    )  # fmt: skip
    assert (stats.active, stats.healthy, stats.queue, stats.throughput_per_s) == (2, 1, 1, 100)
    assert (round(stats.latency_mean_s, 6), stats.latency_p99_s) == (0.02, 0.5)
    assert (stats.error_rate, stats.saturation, stats.memory) == (0.05, 0.5, 0.5)


def test_an_empty_pool_has_numbers_too():
    stats = summary("p", [])
    assert (stats.active, stats.latency_mean_s, stats.error_rate, stats.memory) == (0, 0.0, 0.0, None)
