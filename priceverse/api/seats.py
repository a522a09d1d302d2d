"""How many streams a client has: so many seats each, given back when the stream ends, however it ends."""

from collections import Counter

from priceverse.metrics import catalogue, tally
from priceverse.rpc.errors import CallError, Code


class Seats:
    """The streams of one handler, by client. `most` is what one client may have; None: as many as it likes."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def check(self, client: str) -> None:
        """Make sure that a client has a seat left. Raises CallError TOO_MANY_REQUESTS when it has not."""
        if self._most is not None and self._taken[client] >= self._most:
            raise CallError(Code.TOO_MANY_REQUESTS, f"At most {self._most} streams", {"limit": self._most})

    def sit(self, client: str) -> None:
        """Take a seat; `leave` gives it back."""
        self._taken[client] += 1
        tally.gauge(catalogue.STREAMS, self._taken.total())

    def leave(self, client: str) -> None:
        """Give a seat back."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        tally.gauge(catalogue.STREAMS, self._taken.total())
