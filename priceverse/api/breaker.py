"""A neighbour that fails is left alone for a while: the circuit breaker, and the neighbour behind it.

            failures in a row                 after `open_s`
    CLOSED ──────────────────▶ OPEN ──────────────────────────▶ HALF_OPEN
       ▲                        ▲      any trial fails              │
       │                        └───────────────────────────────────┤
       └────────────────────────────────────────────────────────────┘
                             all trials succeed

The rule: only what the environment does counts. An answer that refuses, a question that nobody waits for any more and
a mistake of ours say nothing about the neighbour.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TypeVar

import trio

from priceverse.log import get_logger
from priceverse.metrics import catalogue, tally
from priceverse.rpc.errors import CallError, Code

T = TypeVar("T")

FAILURES = 5
OPEN_S = 30.0
TRIALS = 3

log = get_logger()


class State(StrEnum):
    """Whether questions pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_LEVELS: Mapping[State, int] = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
"""As the metrics show them."""


class Breaker:
    """The state of one neighbour; times are seconds of any clock that does not go back. Pure."""

    def __init__(self, *, failures: int = FAILURES, open_s: float = OPEN_S, trials: int = TRIALS) -> None:
        self.state = State.CLOSED
        self._most_failures = failures
        self._open_s = open_s
        self._trials = trials
        self._failures = 0
        self._successes = 0
        self._trying = 0
        self._until_s = 0.0

    def admit(self, now_s: float) -> bool:
        """Tell whether a question may pass; one that may is to be followed by `end`."""
        if self.state is State.OPEN and now_s >= self._until_s:
            self.state, self._successes, self._trying = State.HALF_OPEN, 0, 0
        if self.state is State.HALF_OPEN:
            if self._trying + self._successes >= self._trials:
                return False
            self._trying += 1
        return self.state is not State.OPEN

    def end(self, now_s: float, *, good: bool | None) -> None:
        """Note how a question ended: answered, not answered, or (None) nothing learnt."""
        if self.state is State.HALF_OPEN:
            self._end_trial(now_s, good)
        elif self.state is State.CLOSED and good is not None:
            self._failures = 0 if good else self._failures + 1
            if self._failures >= self._most_failures:
                self._open(now_s)

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before a refused question may pass."""
        return max(0.0, self._until_s - now_s) if self.state is State.OPEN else 1.0

    def _end_trial(self, now_s: float, good: bool | None) -> None:
        self._trying = max(0, self._trying - 1)
        if good is False:
            self._open(now_s)
        elif good:
            self._successes += 1
            if self._successes >= self._trials:
                self.state, self._failures = State.CLOSED, 0

    def _open(self, now_s: float) -> None:
        self.state, self._until_s = State.OPEN, now_s + self._open_s


class Neighbour:
    """A dependency behind its breaker. Its faults, of type `away`, become CallErrors with `code`.

    `name` is for our own, `said` for clients.
    """

    def __init__(
        self,
        name: str,
        said: str,
        code: Code,
        away: type[Exception],
        *,
        on_change: "OnChange",
    ) -> None:
        self.name = name
        self._said = said
        self.breaker = Breaker()
        self.refused = 0
        self._code = code
        self._away = away
        self._on_change = on_change
        self._show()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer. Raises CallError if there is none, or if the neighbour is being left alone."""
        was = self.breaker.state
        if not self.breaker.admit(trio.current_time()):
            self.refused += 1
            wait_s = self.breaker.wait_s(trio.current_time())
            raise CallError(
                self._code, f"{self._said} is not available (left alone after failures)", retry_after_s=wait_s
            )
        good: bool | None = None
        try:
            answer = await question()
            good = True
        except self._away as fault:
            good = False
            raise self._fault(fault) from None
        finally:
            self.breaker.end(trio.current_time(), good=good)
            self._tell(was)
        return answer

    async def probe(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a question about the neighbour itself, whatever the breaker says."""
        try:
            return await question()
        except self._away as fault:
            raise self._fault(fault) from None

    def stats(self) -> Mapping[str, str | int]:
        """Return the state and how many questions were not let through."""
        return {"state": self.breaker.state.value, "refused": self.refused}

    def _fault(self, fault: Exception) -> CallError:
        reason = getattr(fault, "reason", None)  # PostgreSQL's door knows one, Redis's does not
        return CallError(self._code, f"{self._said} is not available{f' ({reason})' if reason else ''}")

    def _show(self) -> None:
        tally.gauge(catalogue.BREAKER, _LEVELS[self.breaker.state], self.name)

    def _tell(self, was: State) -> None:
        now = self.breaker.state
        self._show()
        if now is not was and now is not State.HALF_OPEN:
            event = "breaker_opened" if now is State.OPEN else "breaker_closed"
            log.warning(event, neighbour=self.name)
            self._on_change(event, self.name)


OnChange = Callable[[str, str], None]
"""Hears the name of an event and of the neighbour."""
