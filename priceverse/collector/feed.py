"""One exchange, connected for ever: session after session, each with its place in line.

    attempt 1 ─ failed ─ pause ─ attempt 2 ─ … ─ attempt n: given up, the process leaves it to the supervisor
    a session that was healthy ends, or wants a successor ─▶ attempt 1 again

The rule: a failure is a session that was not healthy, however it looked on opening; only good data resets the count. A
session that is leaving reads on beside its successor until that one is alive, and a little longer.
"""

import random

import trio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from priceverse.collector.reconnect import Ended, Pause, SessionFailed, Why
from priceverse.collector.session import Ports, Session, Venue
from priceverse.collector.throttle import Throttle
from priceverse.log import get_logger

LOG_EVERY_S = 1.0
OVERLAP_S = 5.0
"""How long the old connection reads on beside the new one: what both bring is counted once."""


class Feed:
    """Keep `venue` connected; at most `max_attempts` failures in a row."""

    def __init__(self, venue: Venue, ports: Ports, *, base_delay_s: float, max_attempts: int) -> None:
        self._venue = venue
        self._ports = ports
        self._base_delay_s = base_delay_s
        self._max_attempts = max_attempts
        self._elders: set[Session] = set()
        self._throttle = Throttle(LOG_EVERY_S)
        self._retrying = AsyncRetrying(
            wait=Pause(base_delay_s),
            stop=stop_after_attempt(max_attempts),
            retry=retry_if_exception_type(SessionFailed),
            before_sleep=self._before_pause,
            reraise=True,
        )

    async def run(self) -> Ended:
        """Run sessions until the attempts are used up; return how the last one ended."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    await self._retrying(self._attempt, nursery)
                except SessionFailed as failed:
                    last = failed.ended
                    break
            nursery.cancel_scope.cancel()
        self._report(last, None, attempt=self._max_attempts)
        return last

    async def _attempt(self, nursery: trio.Nursery) -> None:
        """Run one session until it ends or leaves. Raises SessionFailed if it had not been healthy by then."""
        session = Session(self._venue, self._ports)
        nursery.start_soon(self._fly, session)
        await session.leaving.wait()
        await trio.lowlevel.checkpoint_if_cancelled()  # a session that is cancelled leaves, too, and wants no successor
        if session.ended is None:
            self._elders.add(session)
            ended = session.ending(Why.SHUTDOWN, "leaving")
            pause_s = 0.0
        else:
            ended = session.ended
            pause_s = random.uniform(0, self._base_delay_s)  # noqa: S311 - so that clients do not return in step
        if not ended.was_healthy:
            raise SessionFailed(ended)
        self._report(ended, pause_s, attempt=0)
        await trio.sleep(pause_s)

    async def _fly(self, session: Session) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._relieve_elders, session)
            await session.run()
            nursery.cancel_scope.cancel()
        self._elders.discard(session)

    async def _relieve_elders(self, successor: Session) -> None:
        await successor.alive.wait()
        elders = [elder for elder in self._elders if elder.generation < successor.generation]
        if elders:
            await trio.sleep(OVERLAP_S)
        for elder in elders:
            elder.stop()

    def _before_pause(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, SessionFailed) and state.next_action:
            self._report(failure.ended, state.next_action.sleep, attempt=state.attempt_number)

    def _report(self, ended: Ended, pause_s: float | None, *, attempt: int) -> None:
        """Say what is wrong and when the next attempt comes; None: not in this process any more."""
        next_ms = None if pause_s is None else self._ports.now_ms() + int(pause_s * 1000)
        self._ports.ledger.failed(ended, next_ms)
        suppressed = self._throttle.passes(ended.why, trio.current_time())
        if suppressed is None and pause_s is not None:
            return
        get_logger().warning(
            f"exchange_{ended.why}" if pause_s is not None else "exchange_given_up",
            host=ended.where,
            reason=ended.detail,
            code=ended.code,
            status=ended.status,
            attempt=attempt,
            attempts=self._max_attempts,
            next_attempt_s="when the supervisor restarts it" if pause_s is None else round(pause_s, 1),
            suppressed=suppressed or 0,
        )
