"""Symbols stand for themselves: acknowledged, refused, unanswered."""

from priceverse.collector.subscription import ACK_TIMEOUT_S, RETRY_REFUSED_S, Refusals, Subscription


def asked(*symbols: str) -> Subscription:
    subscription = Subscription(symbols)
    subscription.ask(symbols, 0.0)
    return subscription


def test_a_refused_symbol_costs_no_other() -> None:
    subscription = asked("BTC", "XMR")
    assert subscription.refuse("XMR")
    assert subscription.serve("BTC")
    assert subscription.overdue(ACK_TIMEOUT_S) == []
    assert subscription.served == {"BTC"}
    assert not subscription.is_hopeless


def test_what_is_served_is_served_once_and_no_longer_refused() -> None:
    subscription = asked("BTC")
    assert subscription.serve("BTC")
    assert not subscription.serve("BTC")
    assert not subscription.refuse("BTC")


def test_strange_symbols_are_neither_served_nor_refused() -> None:
    subscription = asked("BTC")
    assert not subscription.serve("DOGE")
    assert not subscription.refuse("DOGE")
    assert subscription.served == set()


def test_an_answer_is_due_twice_then_given_up() -> None:
    subscription = asked("BTC", "ETH")
    subscription.serve("ETH")
    assert subscription.overdue(ACK_TIMEOUT_S - 0.1) == []
    assert subscription.overdue(ACK_TIMEOUT_S) == ["BTC"]
    subscription.ask(["BTC"], ACK_TIMEOUT_S)
    assert subscription.overdue(2 * ACK_TIMEOUT_S) == []
    assert subscription.unanswered == {"BTC"}
    assert not subscription.is_hopeless
    subscription.serve("BTC")
    assert subscription.unanswered == set()


def test_hopeless_is_when_nothing_is_served_and_nothing_pending() -> None:
    assert not Subscription(["BTC"]).is_hopeless
    subscription = asked("BTC", "ETH")
    subscription.refuse("BTC")
    assert not subscription.is_hopeless
    subscription.refuse("ETH")
    assert subscription.is_hopeless


def test_a_refused_symbol_is_left_out_for_a_day() -> None:
    refusals = Refusals()
    refusals.add("XMR", "delisted", 0.0)
    assert refusals.left(["BTC", "XMR"]) == ["BTC"]
    assert refusals.due(RETRY_REFUSED_S - 1) == []
    assert refusals.due(RETRY_REFUSED_S) == ["XMR"]
    refusals.postpone("XMR", RETRY_REFUSED_S)
    refusals.postpone("BTC", RETRY_REFUSED_S)
    assert refusals.due(RETRY_REFUSED_S + 1) == []
    assert refusals.details == {"XMR": "delisted"}
    refusals.discard("XMR")
    assert refusals.left(["BTC", "XMR"]) == ["BTC", "XMR"]


def test_with_every_symbol_refused_all_are_asked_for() -> None:
    refusals = Refusals()
    refusals.add("BTC", "maintenance", 0.0)
    assert refusals.left(["BTC"]) == ["BTC"]
