"""One connection in virtual time: what it says, what it passes on, and how each kind of end reads."""

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from priceverse.collector.reconnect import Ended, Why
from priceverse.collector.session import CROWDED_MOST_S, Session
from priceverse.collector.subscription import UNHEARD_S
from priceverse.net.errors import NetError
from tests.fakes.exchange import WHERE, WordLink
from tests.unit.collector.conftest import Desk, settle


@pytest.fixture
async def session(desk: Desk) -> Session:
    return Session(desk.venue, desk.ports)


async def begun(desk: Desk, session: Session, nursery: trio.Nursery) -> WordLink:
    nursery.start_soon(session.run)
    link = await desk.link()
    await settle()
    return link


async def ended(session: Session) -> Ended:
    await session.leaving.wait()
    assert session.ended is not None
    return session.ended


async def test_it_subscribes_and_passes_trades_on(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    assert link.said == ["subscribe BTC", "subscribe XMR"]
    assert not session.alive.is_set()
    link.push("ack BTC", "ack XMR", "trade BTC 1 0;trade BTC 2 0", "nonsense", "old XMR 3 0")
    link.push("trade XMR 4 0")
    await settle()
    assert session.alive.is_set()
    assert desk.ids == ["1", "2", "4"]
    assert (desk.seen["connected"], desk.seen["rejects"], desk.seen["historical"]) == (True, {"not_a_word": 1}, 1)
    link.hang_up()
    assert await ended(session) == Ended(Why.LOST, WHERE, "closed with 1000 bye")
    await link.closed.wait()
    assert not desk.seen["connected"]


async def test_a_crowd_leaves_the_rest_in_the_socket_for_a_moment(
    desk: Desk, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    room = trio.Event()
    session = Session(desk.venue, replace(desk.ports, crowded=lambda: None if room.is_set() else room))
    link = await begun(desk, session, nursery)
    for number in range(4):
        link.push(f"trade BTC {number} 0")
    await settle()
    assert desk.ids == ["0"]
    await trio.sleep(CROWDED_MOST_S * 1.5)
    assert desk.ids == ["0", "1"]
    room.set()
    await settle()
    assert desk.ids == ["0", "1", "2", "3"]


async def test_nothing_passes_once_it_has_been_stopped(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("trade BTC 1 0")
    session.stop()
    await link.closed.wait()
    assert desk.ids == []
    desk.intake.take(session.generation, [], 0)


async def test_it_waits_for_the_welcome(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.adapter.wants_welcome = True
    link = await begun(desk, session, nursery)
    await trio.sleep(5)
    assert link.said == []
    link.push("welcome")
    await settle()
    assert link.said == ["subscribe BTC", "subscribe XMR"]


async def test_a_welcome_that_never_comes(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.adapter.wants_welcome = True
    await begun(desk, session, nursery)
    assert await ended(session) == Ended(Why.UNSUBSCRIBED, WHERE, "no welcome within 10 s")


async def test_a_token_is_fetched_for_each_connection(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.adapter.wants_prelude = True
    await begun(desk, session, nursery)
    nursery.start_soon(Session(desk.venue, desk.ports).run)
    await desk.link()
    assert [url for url, _ in desk.exchange.dialled] == [f"{WHERE}/?token=token1", f"{WHERE}/?token=token2"]
    assert desk.asked[0].url == "https://words.example/token"


async def test_keep_alive(desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    desk.adapter.ping_interval_s = 18.0
    link = await begun(desk, session, nursery)
    link.push("ack BTC")
    for _ in range(5):
        link.push("pong")
        await trio.sleep(10)
    assert link.said.count("ping") == 2


async def test_a_server_that_takes_nothing(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.adapter.ping_interval_s = 18.0
    link = await begun(desk, session, nursery)
    link.push("ack BTC", "ack XMR")
    link.refuses_text = True
    assert await ended(session) == Ended(Why.LOST, WHERE, "took nothing for 10 s")


async def test_mute(desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    link = await begun(desk, session, nursery)
    link.push("ack BTC", "ack XMR")
    started = trio.current_time()
    assert await ended(session) == Ended(Why.MUTE, WHERE, "not a byte for 30 s")
    assert 30 <= trio.current_time() - started <= 31


async def test_a_quiet_market_is_not_mute(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("ack BTC", "ack XMR")
    for _ in range(100):
        await trio.sleep(29)
        link.push("beat")
    assert session.ended is None
    link.hang_up()
    assert (await ended(session)).was_healthy


async def test_healthy_needs_valid_data_for_thirty_seconds(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    for _ in range(10):
        link.push("nonsense")
        await trio.sleep(1)
    link.push("ack BTC")
    await trio.sleep(29)
    link.push("trade BTC 1 0")
    await settle()
    link.hang_up()
    assert not (await ended(session)).was_healthy


async def test_a_refused_symbol_is_dropped_and_reported(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("error XMR is delisted", "ack BTC", "trade BTC 1 0")
    await settle()
    assert desk.ids == ["1"]
    assert desk.seen["refused"] == {"XMR": "is delisted"}
    link.hang_up()
    await ended(session)
    nursery.start_soon(Session(desk.venue, desk.ports).run)
    link = await desk.link()
    await settle()
    assert link.said == ["subscribe BTC"]


async def test_a_refused_symbol_is_asked_for_again_in_time(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("priceverse.collector.subscription.RETRY_REFUSED_S", 300.0)  # a day takes long even so
    link = await begun(desk, session, nursery)
    link.push("error XMR is delisted", "ack BTC")
    for _ in range(14):
        await trio.sleep(20)
        link.push("beat")
    assert link.said == ["subscribe BTC", "subscribe XMR"]
    await trio.sleep(22)
    assert link.said == ["subscribe BTC", "subscribe XMR", "subscribe XMR"]
    link.push("ack XMR")
    await settle()
    assert desk.seen["refused"] == {}


async def test_every_symbol_refused_ends_it(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("error XMR no", "error BTC no")
    assert await ended(session) == Ended(Why.UNSUBSCRIBED, WHERE, "no symbol is served")


async def test_an_error_about_nothing_of_ours_changes_nothing(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("ack BTC", "error", "error DOGE no", "error BTC again", "trade BTC 1 0")
    await settle()
    assert desk.ids == ["1"]
    assert desk.seen["refused"] == {}


async def test_a_symbol_without_an_answer_is_asked_for_again_then_named(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("ack BTC")
    await trio.sleep(12)
    assert link.said == ["subscribe BTC", "subscribe XMR", "subscribe XMR"]
    link.push("beat")
    await trio.sleep(12)
    assert desk.seen["unanswered"] == ["XMR"]
    assert session.ended is None
    link.push("trade XMR 1 0")
    await settle()
    assert desk.seen["unanswered"] == []


async def test_nobody_answers(desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    link = await begun(desk, session, nursery)
    await trio.sleep(15)
    link.push("beat")
    assert await ended(session) == Ended(Why.UNSUBSCRIBED, WHERE, "no symbol is served")


async def test_where_the_url_subscribes_nobody_answers_and_that_is_well(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.adapter.subscribes_by_url = True
    link = await begun(desk, session, nursery)
    for _ in range(3):
        await trio.sleep(20)
        link.push("beat")
    assert session.ended is None
    assert link.said == []


async def test_a_symbol_that_the_url_names_and_the_venue_does_not_know_is_told(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Binance accepts any name and stays silent for ever."""
    desk.adapter.subscribes_by_url = True
    link = await begun(desk, session, nursery)
    link.push("trade BTC 1 0")
    for waited_s in range(0, round(UNHEARD_S) + 40, 20):
        assert desk.seen["unanswered"] == [] or waited_s >= UNHEARD_S
        await trio.sleep(20)
        link.push("beat")
    assert desk.seen["unanswered"] == ["XMR"]
    assert (session.ended, link.said) == (None, [])


async def test_an_announced_end_is_told_and_reading_goes_on(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    link.push("trade BTC 1 0", "shutdown", "trade BTC 2 0")
    await session.leaving.wait()
    assert session.ended is None
    link.push("trade BTC 3 0")
    await settle()
    assert desk.ids == ["1", "2", "3"]


async def test_old_age_is_noticed_in_time(desk: Desk, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    desk.adapter.lifetime_s = 1000.0
    session = Session(desk.venue, desk.ports)
    link = await begun(desk, session, nursery)
    link.push("ack BTC", "ack XMR")
    for _ in range(47):
        await trio.sleep(20)
        link.push("beat")
    assert not session.leaving.is_set()
    await session.leaving.wait()
    assert session.ended is None
    assert 950 <= trio.current_time() <= 952


async def test_a_pair_that_falls_silent_wants_a_new_connection(
    desk: Desk, session: Session, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await begun(desk, session, nursery)
    for n in range(100):
        link.push(f"trade BTC {n} 0")
        link.push(f"trade XMR {n} 0")
        await trio.sleep(1)
    for n in range(100, 500):
        link.push(f"trade XMR {n} 0")
        await trio.sleep(1)
    assert session.leaving.is_set()
    assert session.ended is None


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NetError(WHERE, "cannot connect: Connection refused"), Why.UNREACHABLE),
        (NetError(WHERE, "handshake refused with HTTP 429", status=429, retry_after_s=7.0), Why.REFUSED),
    ],
)
async def test_no_connection(
    desk: Desk, session: Session, error: NetError, why: Why, autojump_clock: MockClock
) -> None:
    desk.exchange.refuse(error)
    await session.run()
    assert await ended(session) == Ended(why, WHERE, error.what, False, error.status, error.retry_after_s)
    assert desk.seen["reconnects"] == 0
