"""Each trade is new once, whatever its venue calls it, and what that takes of memory."""

from random import Random

import pytest

from priceverse.pricing import known
from priceverse.pricing.known import SLICE_MS, Known

NAMES = (
    lambda random: str(random.randrange(1, 400)),  # repeated, out of order
    lambda random: str(random.randrange(10**12, 10**12 + 60) * random.choice((1, 7))),
    lambda random: "0" * random.randrange(3) + str(random.randrange(40)),  # 7, 07 and 007 are three trades
    lambda random: str(random.randrange(10**25, 10**25 + 50)),
    lambda random: random.choice(("²", "٣", "-5", "+5", "5", " 5", "1_0", "10", "5.0", "a188a0a-82bc", "")),
)


@pytest.mark.parametrize("most_runs", [3, 4096])
@pytest.mark.parametrize("seed", range(10))
def test_it_knows_what_a_set_of_all_knows(seed, most_runs, monkeypatch):
    monkeypatch.setattr(known, "MOST_RUNS", most_runs)
    random, mine, naive = Random(seed), Known(), set()
    for _ in range(4000):
        venue, name = random.choice("ab"), random.choice(NAMES)(random)
        assert mine.add(venue, name, random.randrange(3 * SLICE_MS)) is ((venue, name) not in naive)
        naive.add((venue, name))
    assert len(mine) == len(naive)


def test_an_id_is_known_until_its_slice_is_older_than_the_floor():
    mine = Known()
    for name in ("5", "x"):
        assert mine.add("kraken", name, SLICE_MS - 1)
        mine.forget(SLICE_MS - 1)
        assert not mine.add("kraken", name, 2 * SLICE_MS)
    mine.forget(SLICE_MS)
    assert [mine.add("kraken", name, SLICE_MS) for name in ("5", "x")] == [True, True]


def test_an_hour_of_numbered_trades_is_a_few_runs():
    """In the order of their numbers but for neighbours, with a hole now and then."""
    mine, random = Known(), Random(1)
    for number in sorted(range(10**6, 10**6 + 50_000), key=lambda number: number + random.randrange(5)):
        if number % 1000:
            mine.add("binance", str(number), (number - 10**6) * 72)
    runs = [len(ids.firsts) + len(ids.others) for ids in mine._venues["binance"].slices.values()]
    assert sum(runs) < 200
