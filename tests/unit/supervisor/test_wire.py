"""Frames: whole, bounded, and of the protocol."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import wire
from supervisor.backoff import Backoff
from supervisor.errors import WireError
from supervisor.events import LEVELS, Event, Name
from supervisor.exits import Decision, Exit, on_child_exit
from supervisor.spec import ChildSpec, Restart

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64) + 1, 2**64 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=9), JSONS, max_size=3), max_size=5), st.integers(1, 50))
def test_frames_survive_any_cutting(words, size):
    stream = b"".join(map(wire.encode, words))
    lines, found = wire.Lines(1_000_000), []
    for start in range(0, len(stream), size):
        found += lines.feed(stream[start : start + size])
    assert found == words


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_wire_error(data):
    try:
        for word in wire.Lines(100).feed(data):
            wire.heard(word)
    except WireError:
        pass


@given(st.dictionaries(st.sampled_from(["t", "pid", "methods", "counters", "stats", "id", "event", "data"]), JSONS))
def test_any_object_is_a_frame_or_a_wire_error(word):
    for kind in ("hello", "ready", "beat", "event", "assigned", "reply"):
        with contextlib.suppress(WireError):
            wire.heard(word | {"t": kind})


def test_a_frame_is_bounded_also_before_its_end():
    with pytest.raises(WireError, match="longer than 10 bytes"):
        wire.Lines(10).feed(b"x" * 11)


@pytest.mark.parametrize("line", [b"{\n", b"[1]\n", b"\xff\n", b"[" * 9999 + b"\n", b'"x"\n'])
def test_what_is_not_an_object_is_refused(line):
    with pytest.raises(WireError, match="not "):
        wire.Lines(100_000).feed(line)


def test_a_number_is_finite_and_has_64_bits():
    (word,) = wire.Lines(1000).feed(b'{"a":NaN,"b":-Infinity,"c":1e999,"d":1e9,"e":18446744073709551615}\n')
    assert word == {"a": None, "b": None, "c": None, "d": 1e9, "e": 2**64 - 1}
    with pytest.raises(WireError, match="more than 64 bits"):
        wire.Lines(1000).feed(b'{"a":18446744073709551616}\n')


@pytest.mark.parametrize("event", ["two words", ""])
def test_an_event_name_is_a_phrase(event):
    with pytest.raises(WireError, match="misshapen frame 'event'"):
        wire.heard({"t": "event", "event": event, "data": {}})


def test_what_an_event_is_cannot_be_hidden_by_its_data():
    data = {"event": "other", "child": "other", "at_ms": 0, "level": "warning"}
    shown = Event(name="said", at_ms=1, child="c", data=data).as_json()
    assert shown == {"at_ms": 1, "event": "said", "level": "warning", "child": "c"}


@pytest.mark.parametrize(
    ("end", "restart", "decision"),
    [
        (Exit(code=0), Restart.PERMANENT, Decision.RESTART),
        (Exit(code=0), Restart.TRANSIENT, Decision.STOP),
        (Exit(code=1), Restart.TRANSIENT, Decision.RESTART),
        (Exit(code=1), Restart.TEMPORARY, Decision.STOP),
        (Exit(code=3), Restart.PERMANENT, Decision.RECYCLE),
        (Exit(code=64), Restart.PERMANENT, Decision.STOP),
        (Exit(code=78), Restart.PERMANENT, Decision.STOP),
        (Exit(code=69), Restart.PERMANENT, Decision.RESTART_WITH_BACKOFF),
        (Exit(code=75), Restart.PERMANENT, Decision.RESTART_WITH_BACKOFF),
        (Exit(signum=11), Restart.PERMANENT, Decision.RESTART),
        (Exit(signum=9, was_ready=True), Restart.PERMANENT, Decision.RECYCLE),
        (Exit(signum=9), Restart.PERMANENT, Decision.RECYCLE),
        (Exit(signum=9), Restart.TEMPORARY, Decision.STOP),
        (Exit(signum=9, was_ready=True, was_oom=True), Restart.PERMANENT, Decision.RESTART_WITH_BACKOFF),
        (Exit(signum=9, was_ready=True, fault="hung"), Restart.PERMANENT, Decision.RESTART),
        (Exit(error="no such file"), Restart.PERMANENT, Decision.RESTART),
    ],
)
def test_a_child_is_blamed_for_its_own_doing_only(end, restart, decision):
    assert on_child_exit(ChildSpec(name="c", argv=("c",), restart=restart), end) is decision


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_grow_to_their_maximum_and_no_further(attempt, draw):
    backoff = Backoff()
    assert 0 <= backoff.delay_s(attempt, draw) <= backoff.ceiling_s(attempt) <= 30
    assert backoff.ceiling_s(attempt) <= backoff.ceiling_s(attempt + 1)


def test_levels_belong_to_events_and_children_bring_their_own():
    assert set(LEVELS) <= set(Name)
    assert Event(name="child_fatal", at_ms=0).level == "error"
    assert Event(name="own", at_ms=0, data={"level": "warning"}).level == "warning"
    assert Event(name="own", at_ms=0, data={"level": "__class__"}).level == "info"
