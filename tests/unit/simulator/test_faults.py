"""What the faults do to trade frames, and for how long."""

from random import Random

import pytest

from priceverse.model.exchange import Exchange
from priceverse.simulator.faults import Fault, Faults, Kind, Shaper, mangled
from priceverse.simulator.match import NS_PER_S

KRAKEN = Exchange.KRAKEN
FRAMES = [
    f'{{"channel":"trade","type":"update","data":[{{"trade_id":{n},"timestamp":"2026-09-26T18:07:54.626190Z"}}]}}'
    for n in range(1000)
]


@pytest.fixture
def faults():
    return Faults(Random(1))


def shaped(faults: Faults, now_ns: int, kind: Kind, **parameters):
    faults.add(Fault(kind, KRAKEN, now_ns + NS_PER_S, **parameters))
    shaper = Shaper(faults, KRAKEN)
    sent = [text for frame in FRAMES for text in shaper.shape([frame], now_ns)]
    return sent + shaper.release()


def test_without_a_fault_frames_pass(faults, now_ns):
    assert Shaper(faults, KRAKEN).shape(FRAMES, now_ns) is FRAMES


def test_a_gap_loses_some_frames(faults, now_ns):
    sent = shaped(faults, now_ns, Kind.GAP, probability=0.1)
    assert 850 < len(sent) < 950
    assert set(sent) < set(FRAMES)


def test_a_duplicate_comes_right_after(faults, now_ns):
    sent = shaped(faults, now_ns, Kind.DUPLICATE, probability=0.1)
    assert 1050 < len(sent) < 1150
    assert list(dict.fromkeys(sent)) == FRAMES


def test_reordering_loses_nothing_and_moves_by_one(faults, now_ns):
    sent = shaped(faults, now_ns, Kind.REORDER, probability=0.3)
    assert sent != FRAMES
    assert sorted(sent) == sorted(FRAMES)
    assert all(abs(sent.index(frame) - n) <= 1 for n, frame in enumerate(FRAMES[:100]))


def test_rubbish_comes_beside_the_frames_not_instead(faults, now_ns):
    sent = shaped(faults, now_ns, Kind.MALFORMED, probability=0.2)
    assert [text for text in sent if text in FRAMES] == FRAMES
    assert len(sent) > 1100


def test_a_wrong_clock_moves_only_the_times(faults, now_ns):
    sent = shaped(faults, now_ns, Kind.WRONG_CLOCK, skew_ms=60_000)
    assert sent == [frame.replace("18:07:54", "18:08:54") for frame in FRAMES]


def test_a_fault_ends_by_itself_and_spares_the_other_venues(faults, now_ns):
    faults.add(Fault(Kind.MUTE, KRAKEN, now_ns + NS_PER_S))
    assert faults.find(Kind.MUTE, KRAKEN, now_ns)
    assert not faults.find(Kind.MUTE, Exchange.OKX, now_ns)
    assert not faults.find(Kind.MUTE, KRAKEN, now_ns + NS_PER_S)
    assert faults.active(now_ns) == []


def test_a_fault_on_no_venue_is_on_all(faults, now_ns):
    faults.add(Fault(Kind.SLOW, None, now_ns + NS_PER_S))
    assert all(faults.find(Kind.SLOW, exchange, now_ns) for exchange in Exchange)


def test_a_second_fault_of_a_kind_replaces_the_first(faults, now_ns):
    faults.add(Fault(Kind.SLOW, None, now_ns + NS_PER_S, delay_ms=5))
    faults.add(Fault(Kind.SLOW, None, now_ns + NS_PER_S, delay_ms=9))
    assert [fault.delay_ms for fault in faults.active(now_ns)] == [9]


def test_a_busy_venue_says_when_to_come_again(faults, now_ns):
    faults.add(Fault(Kind.TOO_MANY_REQUESTS, KRAKEN, now_ns + 2 * NS_PER_S + 1))
    assert faults.retry_after_s(KRAKEN, now_ns) == 3
    assert faults.retry_after_s(Exchange.OKX, now_ns) is None


def test_the_same_seed_makes_the_same_trouble(now_ns):
    once, again = (shaped(Faults(Random(5)), now_ns, Kind.GAP) for _ in range(2))
    assert once == again


def test_rubbish_is_never_the_frame_itself():
    assert all(mangled(frame, Random(n)) != frame for n, frame in enumerate(FRAMES))
