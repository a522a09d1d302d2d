"""What a connection did not bring is fetched, in virtual time: when, how often, in which order, and what is lost."""

from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from priceverse.bus.trades import Received
from priceverse.collector.admission import Admission
from priceverse.collector.audit import Audit
from priceverse.collector.backfill import ASKS, GIVE_UP_MS, MOST_MISSING, Backfill
from priceverse.collector.history import History
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.exchanges.protocol import Mark
from priceverse.model.loss import LossReason
from priceverse.net.errors import NetError
from tests.fakes.archive import Archive, Archivist, away
from tests.fakes.exchange import trade
from tests.unit.collector.conftest import settle

SYMBOLS = {"BTC": "btc-usd"}
AGES_MS = 5_000
AT_MS = 1_790_000_000_000


@dataclass
class Scene:
    """A backfill between a connection that a test plays and an archive."""

    adapter: Archivist = field(default_factory=lambda: Archivist(SYMBOLS))
    ledger: Ledger = field(default_factory=lambda: Ledger("kraken"))
    passed: list[Received] = field(default_factory=list)
    lost: list[tuple[str, int, int, LossReason]] = field(default_factory=list)
    gone: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.archive = Archive(self.adapter)

    async def begin(self, nursery: trio.Nursery, *recalled: int) -> None:
        self.intake = Intake(self.ledger, self._offer, Admission(is_numbered=self.adapter.is_numbered))
        for number in recalled:
            self.intake.admission.book("BTC").recall(Mark(str(number), self.now_ms()))
        self.generation = self.intake.open()
        self.ledger.opened(self.generation, 0)
        history = History(self.adapter, "", self.archive.ask, self.ledger)
        fetch = Backfill if self.adapter.is_numbered else Audit
        backfill = fetch(
            self.adapter, history, self.intake, self.ledger, lambda *loss: self.lost.append(loss), now_ms=self.now_ms
        )
        nursery.start_soon(backfill.run)
        await settle()

    def _offer(self, trades: list[Received]) -> list[Received]:
        self.passed += trades
        gone, self.gone = self.gone, []
        return gone

    def now_ms(self) -> int:
        return AT_MS + int(trio.current_time() * 1000)

    def happen(self, *ids: int, brought: bool = True) -> None:
        """Let trades happen, and come over the connection or not."""
        self.archive.happen("BTC", *ids, at_ms=self.now_ms())
        if brought:
            self.bring(*ids)

    def bring(self, *ids: int, age_ms: int = 0) -> None:
        now_ms = self.now_ms()
        self.intake.take(self.generation, [trade("BTC", str(n), now_ms - age_ms) for n in ids], now_ms)

    def cut(self) -> None:
        self.intake.shut(self.generation)
        self.ledger.closed(self.generation)

    def reconnect(self) -> None:
        self.generation = self.intake.open()
        self.ledger.opened(self.generation, self.now_ms())

    @property
    def ids(self) -> list[int]:
        return [int(received.trade.trade_id) for received in self.passed]

    @property
    def seen(self) -> dict:
        return self.ledger.snapshot()


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def unnumbered() -> Scene:
    made = Scene()
    made.adapter.is_numbered, made.adapter.newest_rows = False, 10
    return made


@pytest.mark.parametrize("pages_back", [False, True])
async def test_a_hole_is_filled_in_order(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock, pages_back: bool
) -> None:
    scene.adapter.pages_back = pages_back
    await scene.begin(nursery)
    scene.happen(1, 2)
    scene.happen(*range(3, 11), brought=False)
    await trio.sleep(1)
    scene.happen(11)
    await trio.sleep(3)
    assert scene.ids == [1, 2, 11, *range(3, 11)]
    assert (scene.seen["gaps"], scene.seen["gaps_open"], scene.seen["backfilled"]) == (1, 0, 8)
    assert scene.seen["trades"] == {"btc-usd": 11}
    assert scene.lost == []
    assert len(scene.archive.asked) == 3


async def test_what_is_missed_right_after_the_first_trade_is_found(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """However much comes before anybody looks for the first time."""
    await unnumbered.begin(nursery)
    for number, brought in ((1, True), (2, False), (3, True)):
        unnumbered.happen(number, brought=brought)
        await trio.sleep(0.05)
    await trio.sleep(10)
    assert unnumbered.ids == [1, 3, 2]
    assert unnumbered.lost == []


async def test_a_trade_that_is_only_late_is_waited_for(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1, 3)
    await trio.sleep(0.4)
    scene.happen(2)
    await trio.sleep(5)
    assert scene.ids == [1, 3, 2]
    assert scene.archive.asked == []
    assert scene.seen["backfilled"] == 0


async def test_many_holes_near_each_other_cost_one_request(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1, 3, 5, 7)
    scene.archive.happen("BTC", 2, 4, 6, at_ms=scene.now_ms() - AGES_MS)
    await trio.sleep(1)
    assert sorted(scene.ids) == list(range(1, 8))
    assert [url for url, _ in scene.archive.asked][:1] == ["BTC 1 7 "]
    assert len(scene.archive.asked) == 2  # two pages of three


async def test_after_a_break_the_tail_is_read_though_nothing_tells_of_it(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1, 2)
    scene.cut()
    await trio.sleep(5)
    scene.happen(3, 4, brought=False)
    await trio.sleep(5)
    assert scene.archive.asked == []
    scene.reconnect()
    await trio.sleep(3)
    assert scene.ids == [1, 2, 3, 4]
    await trio.sleep(60)
    assert len(scene.archive.asked) == 1


async def test_a_replay_closes_a_hole_without_a_request(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1, 2, 5)
    replayed = [trade("BTC", str(n), scene.now_ms(), historical=True) for n in range(1, 7)]
    scene.intake.take(scene.generation, replayed, scene.now_ms())
    await trio.sleep(5)
    assert scene.ids == [1, 2, 5, 3, 4, 6]
    assert scene.seen["backfilled"] == 3
    assert scene.archive.asked == []


async def test_what_the_venue_named_and_did_not_send(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1)
    scene.happen(2, brought=False)
    await trio.sleep(1)
    scene.intake.hint("BTC", 2, scene.now_ms())
    await trio.sleep(2)
    assert scene.ids == [1, 2]


async def test_a_trade_with_a_wrong_time_is_told_right(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1)
    scene.happen(2, brought=False)
    scene.bring(2, age_ms=-60_000)
    await trio.sleep(2)
    scene.happen(3)
    await trio.sleep(2)
    assert scene.ids == [1, 3, 2]
    assert scene.passed[-1].trade.timestamp_ms < scene.passed[1].trade.timestamp_ms
    assert scene.seen["rejects"] == {"clock_ahead": 1}


async def test_what_history_does_not_have_is_lost_after_some_asking(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1)
    began_ms = scene.now_ms()
    await trio.sleep(1)
    scene.bring(4)
    await trio.sleep(60)
    assert scene.lost == [("btc-usd", began_ms, began_ms + 1000, LossReason.ABSENT)]
    times_s = [at_s for _, at_s in scene.archive.asked]
    assert len(times_s) == ASKS
    assert times_s[-1] - times_s[0] > 10
    assert scene.seen["gaps_open"] == 0


async def test_history_that_does_not_answer_is_asked_less_and_less_then_it_is_lost(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.archive.refusal = away()
    scene.happen(1, 3)
    await trio.sleep(GIVE_UP_MS / 1000 - 60)
    assert scene.lost == []
    assert 20 < len(scene.archive.asked) < 40
    await trio.sleep(120)
    assert [reason for *_, reason in scene.lost] == [LossReason.UNAVAILABLE]


async def test_hours_of_a_busy_market_are_lost_at_once(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1)
    scene.bring(MOST_MISSING + 3)
    await trio.sleep(2)
    assert [reason for *_, reason in scene.lost] == [LossReason.TOO_MANY]
    assert scene.archive.asked == []


async def test_a_refusal_in_words_is_no_answer(scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    await scene.begin(nursery)
    scene.archive.says = "Too many requests"
    scene.happen(1)
    scene.happen(2, brought=False)
    await trio.sleep(2)
    scene.happen(3)
    await trio.sleep(30)
    assert scene.lost == []
    scene.archive.says = ""
    await trio.sleep(30)
    assert scene.ids == [1, 3, 2]


@pytest.mark.parametrize(
    ("refusal", "away_s"),
    [(away(429, 40.0), 40.0), (away(429), 5.0), (away(418), 60.0)],
    ids=["429 and how long", "429", "418"],
)
async def test_too_many_requests_is_obeyed(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock, refusal: NetError, away_s: float
) -> None:
    await scene.begin(nursery)
    scene.archive.refusal = refusal
    scene.happen(1)
    scene.happen(2, brought=False)
    await trio.sleep(2)
    scene.happen(3)
    await trio.sleep(away_s)
    scene.archive.refusal = None
    await trio.sleep(70)
    (_, refused_s), (_, again_s), *_ = scene.archive.asked
    assert again_s - refused_s >= away_s
    assert scene.ids == [1, 3, 2]


async def test_while_redis_is_away_nothing_is_fetched_and_what_was_dropped_is_fetched_later(
    scene: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await scene.begin(nursery)
    scene.happen(1, 2, 3, 4)
    scene.ledger.is_redis_away = True
    scene.gone = scene.passed[1:3]
    scene.happen(5)
    await trio.sleep(30)
    assert scene.archive.asked == []
    scene.ledger.is_redis_away = False
    await trio.sleep(2)
    assert scene.ids == [1, 2, 3, 4, 5, 2, 3]


# --- where ids tell nothing


async def test_the_newest_are_compared_with_what_came(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(10, 20)
    await trio.sleep(2)
    for first in range(30, 600, 40):
        unnumbered.happen(first, first + 10, first + 30)
        unnumbered.happen(first + 20, brought=False)
        await trio.sleep(4)
    await trio.sleep(10)
    assert sorted(unnumbered.ids) == list(range(10, 630, 10))
    assert len(set(unnumbered.ids)) == len(unnumbered.ids)
    assert unnumbered.seen["backfilled"] == 15
    assert unnumbered.lost == []


async def test_trades_on_their_way_are_left_to_the_connection(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(1)
    for number in range(2, 60):
        unnumbered.happen(number, brought=False)
        await trio.sleep(0.3)
        unnumbered.bring(number, age_ms=300)
    assert unnumbered.seen["backfilled"] == 0
    assert unnumbered.lost == []


async def test_what_the_newest_do_not_reach_after_a_break_is_lost(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(1)
    began_ms = unnumbered.now_ms()
    await trio.sleep(3)
    unnumbered.cut()
    unnumbered.archive.refusal = away()
    for number in range(2, 30):
        unnumbered.happen(number, brought=False)
        await trio.sleep(1)
    unnumbered.archive.refusal = None
    unnumbered.reconnect()
    await trio.sleep(40)
    assert unnumbered.ids == [1, *range(20, 30)]
    assert unnumbered.lost == [("btc-usd", began_ms, began_ms + 3000 + 18_000, LossReason.FORGOTTEN)]


async def test_a_venue_too_busy_for_its_history_is_trusted_while_the_connection_holds(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    for first in range(0, 2000, 100):
        unnumbered.happen(*range(first, first + 100))
        await trio.sleep(1)
    assert unnumbered.lost == []
    assert unnumbered.ids == list(range(2000))


async def test_what_was_dropped_is_lost_where_it_cannot_be_asked_for(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(1, 2, 3)
    began_ms = unnumbered.now_ms()
    unnumbered.ledger.is_redis_away = True
    unnumbered.gone = unnumbered.passed[:2]
    unnumbered.happen(4)
    await trio.sleep(20)
    assert unnumbered.lost == []
    unnumbered.ledger.is_redis_away = False
    await trio.sleep(10)
    assert unnumbered.lost == [("btc-usd", began_ms, began_ms, LossReason.DROPPED)]


async def test_what_a_predecessor_missed_is_fetched_though_its_live_trades_are_there(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    book = unnumbered.intake.admission.book("BTC")
    unnumbered.happen(1, 2, 3, 4, 5, brought=False)
    for number in (1, 4, 5):
        book.recall(Mark(str(number), unnumbered.now_ms()))
    book.resume(Mark("1", unnumbered.now_ms()))
    unnumbered.reconnect()
    unnumbered.happen(6)
    assert (book.doubted, book.opened) == (Mark("1", unnumbered.now_ms()), 1)
    await trio.sleep(5)
    assert unnumbered.ids == [6, 2, 3]
    assert unnumbered.lost == []
    assert (book.doubted, book.sound) == (None, Mark("6", AT_MS))


async def test_who_follows_another_asks_at_once_and_again_when_connected(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """History forgets; what it tells twice, or tells and the connection brings, is had once."""
    unnumbered.happen(1, 2, 3, brought=False)
    await unnumbered.begin(nursery, 1)
    assert (unnumbered.ids, trio.current_time()) == ([2, 3], 0)
    unnumbered.cut()
    unnumbered.happen(4, brought=False)
    unnumbered.reconnect()
    unnumbered.happen(5)
    await trio.sleep(2)
    assert unnumbered.ids == [2, 3, 5, 4]
    assert unnumbered.lost == []


async def test_a_connection_that_has_brought_nothing_proves_nothing(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(1)
    book = unnumbered.intake.admission.book("BTC")
    await trio.sleep(5)
    unnumbered.cut()
    unnumbered.reconnect()
    assert book.doubted is not None
    await trio.sleep(20)
    assert book.doubted is not None
    unnumbered.happen(2)
    await trio.sleep(15)
    assert book.doubted is None


async def test_what_was_dropped_stays_in_doubt_until_it_is_told(
    unnumbered: Scene, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await unnumbered.begin(nursery)
    unnumbered.happen(1, 2, 3)
    await trio.sleep(5)
    book = unnumbered.intake.admission.book("BTC")
    unnumbered.ledger.is_redis_away = True
    unnumbered.gone = unnumbered.passed[:2]
    unnumbered.happen(4)
    await trio.sleep(20)
    assert (book.doubted, unnumbered.lost) == (Mark("3", AT_MS), [])
    unnumbered.ledger.is_redis_away = False
    await trio.sleep(15)
    assert book.doubted is None
    assert [reason for *_, reason in unnumbered.lost] == [LossReason.DROPPED]
