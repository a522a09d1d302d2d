"""Which death was the kernel's, from a count that only grows."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.oom import NEAR_S, OomKills, counter


class Group:
    """A control group's count."""

    def __init__(self, kills: int | None = 0) -> None:
        self.kills = kills

    def read(self) -> int | None:
        return self.kills


def test_a_kill_explains_one_death_and_no_second():
    group = Group(7)
    kills = OomKills(group.read)
    assert not kills.explains(1)
    group.kills = 8
    assert kills.explains(2)
    assert not kills.explains(2)


def test_a_kill_of_something_else_explains_nothing_later():
    group = Group()
    kills = OomKills(group.read)
    group.kills = 1
    kills.look(10)
    assert not kills.explains(10 + NEAR_S + 0.1)


def test_where_nothing_is_counted_memory_is_never_blamed():
    group = Group(None)
    kills = OomKills(group.read)
    assert not kills.explains(1)
    group.kills = 5  # the file came later: what it counted before is nobody's
    assert not kills.explains(2)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_no_more_deaths_are_explained_than_kills_counted(steps):
    group = Group()
    kills, explained = OomKills(group.read), 0
    for now, (more, died) in enumerate(steps):
        group.kills += more
        explained += died and kills.explains(now)
    assert explained <= group.kills


def test_the_count_is_that_of_the_own_group(tmp_path):
    (tmp_path / "self").write_text("12:pids:/x\n0::/system.slice/p.service\n")
    group = tmp_path / "system.slice/p.service"
    group.mkdir(parents=True)
    read = counter(tmp_path / "self", tmp_path)
    assert read() is None
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 4\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert read() == 2


def test_without_a_unified_group_there_is_no_count(tmp_path):
    (tmp_path / "self").write_text("4:memory:/x\n")
    assert counter(tmp_path / "self", tmp_path)() is None
    assert counter(tmp_path / "missing", tmp_path)() is None
