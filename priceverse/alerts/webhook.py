"""Notices on their way to webhooks: signed, retried while the receiver is away, given up after an hour.

    POST <url>   X-Priceverse-Timestamp: <ms>   X-Priceverse-Signature: sha256=<HMAC of "<ms>.<body>">

The rule: each receiver has a queue of its own, so one that is away holds up nobody; a notice keeps its `id` through
every attempt, so a receiver can tell a second delivery from a second alert.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import msgspec
import tenacity
import trio

from priceverse.alerts.watch import Notice
from priceverse.clock import iso_ms, now_ms
from priceverse.log import get_logger
from priceverse.metrics import catalogue, tally
from priceverse.net.errors import NetError, origin

MAX_WAITING = 256
GIVE_UP_S = 3600.0
ATTEMPT_S = 10.0
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 300.0

Headers = Mapping[str, str]
Post = Callable[[str, bytes, Headers], Awaitable[None]]
"""Delivers a body to a URL. Raises NetError."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who tells: the instance's name, the secret that signs (None: nothing is signed)."""

    instance: str
    secret: str | None

    def body(self, notice: Notice) -> bytes:
        """Return a notice as it is sent."""
        key = f"{self.instance} {notice.rule} {notice.subject} {notice.since_ms} {notice.state}"
        told = {
            "id": hashlib.sha256(key.encode()).hexdigest()[:32],
            "instance": self.instance,
            **asdict(notice),
            "since": iso_ms(notice.since_ms),
        }
        return msgspec.json.encode(told)

    def headers(self, body: bytes, at_ms: int) -> dict[str, str]:
        """Return the headers of a delivery at an instant."""
        headers = {"Content-Type": "application/json", "X-Priceverse-Timestamp": str(at_ms)}
        if self.secret is not None:
            headers["X-Priceverse-Signature"] = f"sha256={signature(self.secret, at_ms, body)}"
        return headers


def signature(secret: str, at_ms: int, body: bytes) -> str:
    """Return what a receiver computes to know who sent `body`, and when."""
    return hmac.new(secret.encode(), b"%d." % at_ms + body, hashlib.sha256).hexdigest()


class Webhook:
    """One receiver: `offer` never waits, `run` delivers in order."""

    def __init__(self, url: str, sender: Sender, post: Post) -> None:
        self._url = url
        self._sender = sender
        self._post = post
        self._send, self._receive = trio.open_memory_channel[Notice](MAX_WAITING)

    def offer(self, notice: Notice) -> None:
        """Queue a notice; if too many wait it is given up, told and counted."""
        try:
            self._send.send_nowait(notice)
        except trio.WouldBlock:
            self._given_up(notice, "too many wait")

    async def run(self) -> None:
        """Deliver for ever."""
        async for notice in self._receive:
            body = self._sender.body(notice)
            try:
                await self._retrying()(self.deliver, body)
            except NetError as fault:
                self._given_up(notice, str(fault))
            else:
                tally.count(catalogue.NOTICES, 1, "delivered")

    async def deliver(self, body: bytes) -> None:
        """Deliver once. Raises NetError."""
        await self._post(self._url, body, self._sender.headers(body, now_ms()))

    def _retrying(self) -> tenacity.AsyncRetrying:
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(NetError),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LAST_PAUSE_S),
            stop=tenacity.stop_after_delay(GIVE_UP_S),
            before_sleep=partial(_report, origin(self._url)),
            reraise=True,
        )

    def _given_up(self, notice: Notice, reason: str) -> None:
        tally.count(catalogue.NOTICES, 1, "given_up")
        get_logger().error(
            "alert_not_delivered", host=origin(self._url), alert=notice.rule, subject=notice.subject, reason=reason
        )


def _report(host: str, state: tenacity.RetryCallState) -> None:
    fault = state.outcome.exception() if state.outcome else None
    pause_s = round(state.next_action.sleep, 1) if state.next_action else None
    get_logger().warning("webhook_failed", host=host, reason=str(fault), next_attempt_s=pause_s)


async def post(url: str, body: bytes, headers: Headers) -> None:
    """Deliver over the network: a `Post`."""
    from priceverse.net.http import fetch  # noqa: PLC0415 - who never tells anybody saves httpx's memory
    from priceverse.net.tls import client_context  # noqa: PLC0415 - as above

    await fetch(
        url,
        method="POST",
        timeout_s=ATTEMPT_S,
        max_bytes=1 << 16,
        tls=client_context(url, None),
        content=body,
        headers=headers,
    )
