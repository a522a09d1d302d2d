"""Notices on their way: signed, retried on virtual time, given up in the end; one receiver never waits for another."""

import hashlib
import hmac
import json

import pytest
import trio

from priceverse.alerts import webhook
from priceverse.alerts.trial import deliver
from priceverse.alerts.watch import Notice, State
from priceverse.alerts.webhook import Sender, Webhook
from priceverse.config.settings import Alerts, Settings
from priceverse.net.errors import NetError

URL = "https://hooks.example/in"
NOTICE = Notice("exchange_down", "okx", State.FIRING, "warning", "okx is not connected", 1_767_225_600_000)


class Receiver:
    """A `Post` that fails as often as it is told to."""

    def __init__(self, failures=0):
        self.failures = failures
        self.attempts = 0
        self.got = []
        self.arrived = trio.Event()

    async def post(self, url, body, headers):
        await trio.lowlevel.checkpoint()
        self.attempts += 1
        if self.failures:
            self.failures -= 1
            raise NetError("hooks.example", "HTTP 503", status=503)
        self.got.append((url, json.loads(body), headers))
        self.arrived.set()


@pytest.fixture
def hook(nursery):
    def start(receiver, secret="s3cret"):
        made = Webhook(URL, Sender("priceverse", secret), receiver.post)
        nursery.start_soon(made.run)
        return made

    yield start
    nursery.cancel_scope.cancel()


async def test_a_receiver_can_tell_who_sent_it_and_when(hook):
    receiver = Receiver()
    hook(receiver).offer(NOTICE)
    await receiver.arrived.wait()
    [(url, said, headers)] = receiver.got
    assert url == URL
    assert {key: said[key] for key in ("instance", "rule", "subject", "state", "severity", "message", "since")} == {
        "instance": "priceverse",
        "rule": "exchange_down",
        "subject": "okx",
        "state": "firing",
        "severity": "warning",
        "message": "okx is not connected",
        "since": "2026-01-01T00:00:00.000Z",
    }
    body = Sender("priceverse", None).body(NOTICE)
    stamp = headers["X-Priceverse-Timestamp"]
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Priceverse-Signature"] == f"sha256={expected}"


async def test_without_a_secret_nothing_is_signed(hook):
    receiver = Receiver()
    hook(receiver, secret=None).offer(NOTICE)
    await receiver.arrived.wait()
    assert "X-Priceverse-Signature" not in receiver.got[0][2]


async def test_a_receiver_that_is_away_is_tried_until_it_is_back(hook, autojump_clock):
    receiver = Receiver(failures=7)
    hook(receiver).offer(NOTICE)
    await receiver.arrived.wait()
    assert (receiver.attempts, len(receiver.got)) == (8, 1)


async def test_after_an_hour_it_is_given_up_and_the_next_one_is_delivered(hook, autojump_clock, monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 60.0)
    receiver = Receiver(failures=1)
    monkeypatch.setattr(webhook, "GIVE_UP_S", 0.0)
    made = hook(receiver)
    made.offer(NOTICE)
    made.offer(Notice("child_fatal", "api.0", State.FIRING, "critical", "given up", 1))
    await receiver.arrived.wait()
    assert [said["rule"] for _, said, _ in receiver.got] == ["child_fatal"]


async def test_notices_of_one_alert_differ_by_state_and_repeat_by_nothing():
    sender = Sender("priceverse", None)

    def id_of(**changes):
        return json.loads(sender.body(Notice(**{**fields, **changes})))["id"]

    fields = {name: getattr(NOTICE, name) for name in Notice.__slots__}
    assert id_of() == id_of(message="okx is not connected, last trade 900 s ago")
    assert len({id_of(), id_of(state=State.RESOLVED), id_of(subject="bybit"), id_of(since_ms=1)}) == 4


async def test_too_many_are_given_up_instead_of_kept():
    made = Webhook(URL, Sender("priceverse", None), Receiver().post)
    for _ in range(webhook.MAX_WAITING + 5):
        made.offer(NOTICE)  # nobody delivers: what is too much must not raise


async def test_a_person_can_try_every_webhook():
    receiver = Receiver(failures=1)
    settings = Settings(alerts=Alerts(webhooks=("https://a.example/1", "https://b.example/2"), webhook_secret="x"))
    [first, second] = await deliver(settings, receiver.post)
    assert (first[0], str(first[1])) == ("https://a.example", str(NetError("hooks.example", "HTTP 503", status=503)))
    assert second == ("https://b.example", None)
    assert receiver.got[0][1]["rule"] == "test"
