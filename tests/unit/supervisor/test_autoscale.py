"""When a pool grows and shrinks, and what it says about it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from supervisor.autoscale import Memory, judge
from supervisor.pool import MemberStats, PoolStats, summary
from supervisor.spec import Autoscale

RULES = Autoscale(cooldown_s=60, down_penalty=5, samples_up=2, samples_down=3)
HIGH, LOW, MIDDLE = 0.95, 0.05, 0.5


def pool(saturation: float, *, size: int = 2, cpu: float = 0.0, queue: float = 0.0, memory=None) -> PoolStats:
    one = {"is_ready": True, "saturation": saturation, "cpu": cpu, "queue": queue, "memory": memory}
    return summary("p", [MemberStats(name=f"p.{n}", **one) for n in range(size)])


def watch(samples, *, size: int = 2, every_s: float = 5.0, rules: Autoscale = RULES, memory: Memory | None = None):
    """Judge one sample after another; return the sizes and the last verdict."""
    memory, sizes, verdict = memory or Memory(), [], None
    for index, stats in enumerate(samples):
        verdict, memory = judge(rules, stats, size=size, bounds=(1, 8), memory=memory, now=index * every_s)
        size = verdict.size
        sizes.append(size)
    return sizes, verdict, memory


def test_it_grows_when_overload_lasts():
    sizes, verdict, _ = watch([pool(HIGH), pool(HIGH)])
    assert sizes == [2, 3]
    assert verdict.why == "over the limit: saturation"


def test_one_bad_sample_is_not_overload():
    sizes, verdict, _ = watch([pool(HIGH), pool(MIDDLE), pool(HIGH)])
    assert sizes == [2, 2, 2]
    assert verdict.why == "over the limit: saturation, for 1 of 2 samples"


def test_the_further_over_the_more_it_grows_at_most_doubled():
    assert watch([pool(0, cpu=0.9)] * 2, size=4)[0][-1] == 6
    assert watch([pool(0, queue=100_000)] * 2, size=3)[0][-1] == 6


def test_memory_counts_where_there_is_a_limit():
    sizes, verdict, _ = watch([pool(0, memory=0.8)] * 2)
    assert sizes[-1] == 3
    assert "memory" in verdict.why
    assert "memory" not in watch([pool(0)])[1].signs


def test_it_shrinks_by_one_when_all_is_low_for_long():
    sizes, verdict, _ = watch([pool(LOW)] * 3, size=4)
    assert sizes == [4, 4, 3]
    assert verdict.why.startswith("all low")


def test_between_the_thresholds_nothing_happens():
    sizes, verdict, _ = watch([pool(MIDDLE)] * 20)
    assert set(sizes) == {2}
    assert verdict.why == "within its limits"


def test_nothing_happens_within_the_cooldown():
    sizes, verdict, _ = watch([pool(HIGH)] * 10)
    assert sizes == [2] + [3] * 9
    assert verdict.why == "over the limit: saturation, but cooling down for 20 s"
    assert watch([pool(HIGH)] * 14)[0][-1] == 4


def test_shrinking_waits_longer_after_growing():
    _, _, grown = watch([pool(HIGH)] * 2)
    sizes, _, _ = watch([pool(LOW)] * 70, size=3, memory=grown)
    assert sizes.index(2) * 5.0 >= 60 * 5


def test_the_bounds_are_kept_and_named():
    sizes, verdict, _ = watch([pool(HIGH)] * 3, size=8)
    assert sizes[-1] == 8
    assert verdict.why == "over the limit: saturation, but 8 is its bound"
    assert watch([pool(LOW)] * 9, size=1)[0][-1] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=100))
def test_any_load_keeps_bounds_and_cooldown(loads):
    sizes = [2, *watch([pool(load) for load in loads])[0]]
    changes = [index for index in range(1, len(sizes)) if sizes[index] != sizes[index - 1]]
    assert all(1 <= size <= 8 for size in sizes)
    assert all((later - earlier) * 5.0 >= 60 for earlier, later in itertools.pairwise(changes))
