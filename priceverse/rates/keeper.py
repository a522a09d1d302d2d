"""The rates that this process believes, what it was told otherwise, and the news for whoever stores them."""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import trio

from priceverse.log import get_logger
from priceverse.model.rate import Rate
from priceverse.rates import policy
from priceverse.rates.policy import Verdict


class Keeper:
    """Hold the last good rates; `today` returns the day in Moscow."""

    def __init__(self, max_jump: Decimal, today: Callable[[], date]) -> None:
        self._max_jump = max_jump
        self._today = today
        self._known: tuple[Rate, ...] = ()
        self._changed = trio.Event()
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._held: Rate | None = None
        self.version = 0
        self.failures = 0
        self.error = ""
        self.stores: dict[str, str] = {}

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The one in force and later ones, by date."""
        return policy.kept(self._known, self._today())

    @property
    def in_force(self) -> Rate | None:
        """The one that counts today."""
        return policy.in_force(self._known, self._today())

    async def news(self, since: int) -> None:
        """Wait until `version` is no longer `since`: what is known has changed."""
        while self.version == since:
            await self._changed.wait()

    def remember(self, stored: Iterable[Rate]) -> None:
        """Take over what a store kept: good once, good now."""
        self._become(policy.merged(stored, self._known))

    def consider(self, read: Rate) -> Verdict:
        """Decide on a rate just read."""
        verdict = policy.judge(self._known, read, self._today(), self._max_jump)
        self._verdicts[verdict] += 1
        self._held = read if verdict is Verdict.HELD else None
        if verdict is Verdict.ACCEPTED:
            self.error = ""
            if read.usd_rub not in {rate.usd_rub for rate in self._known if rate.date == read.date}:
                get_logger().info("rate_accepted", usd=str(read.usd_rub), date=read.date.isoformat())
            self._become(policy.merged(self._known, [read]))
        else:
            self._alarm(verdict, read)
        return verdict

    def snapshot(self) -> dict[str, Any]:
        """Return what the pipe and `bus.stats` carry."""
        current, today = self.in_force, self._today()
        later = [rate for rate in self.rates if rate.date > today]
        return {
            "rate": str(current.usd_rub) if current else None,
            "date": current.date.isoformat() if current else None,
            "age_days": (today - current.date).days if current else None,
            "fetched_ms": max((rate.fetched_ms for rate in self.rates), default=None),
            "later": {rate.date.isoformat(): str(rate.usd_rub) for rate in later},
            "verdicts": {verdict.value: count for verdict, count in self._verdicts.items()},
            "held": str(self._held.usd_rub) if self._held else None,
            "failures": self.failures,
            "error": self.error,
            "stores": dict(self.stores),
        }

    def _become(self, known: tuple[Rate, ...]) -> None:
        if known == self._known:
            return
        self._known = policy.kept(known, self._today())
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()

    def _alarm(self, verdict: Verdict, read: Rate) -> None:
        good = policy.last_good(self._known, read.date)
        self.error = f"{verdict}: {read.usd_rub} for {read.date}"
        log = get_logger().error if verdict is Verdict.HELD else get_logger().warning
        log(
            f"rate_{verdict}",
            usd=str(read.usd_rub),
            date=read.date.isoformat(),
            last_good=str(good.usd_rub) if good else None,
            max_jump=str(self._max_jump),
            advice="if it is real, raise cbr.max_jump, `priceverse ctl reload`, and put it back"
            if verdict is Verdict.HELD
            else None,
        )
