"""How many streams a client has: so many seats each, given back when the stream ends, however it ends.

The seats that the handlers of an instance have given stand on a board, a small file that all of them have mapped:

    row = one of two that a client's name falls into; column = a process, which has a lock on it as long as it lives

A client has as many seats as the smaller of its rows says, so others in a row hardly ever cost it one of its own.
The kernel gives up the lock of a process that ends; what is left of it in the column then counts no more.
"""

import fcntl
import os
import struct
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from priceverse.api.mapped import own, shared
from priceverse.metrics import catalogue, tally
from priceverse.rpc.errors import CallError, Code

ROWS = 8192
COLUMNS = 80
"""More than a pool may have members while it is renewed."""

SIZE_BYTES = ROWS * COLUMNS * 2
_FLOCK = "hhqqi4x"


class Seats:
    """The streams of one handler, by client, and of its instance. `most` is what one client may have; None: any number.

    Without a `path`, or where there can be no file, a handler knows of its own seats only.
    """

    def __init__(self, most: int | None, path: Path | None = None) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._board = Board(path)

    def check(self, client: str) -> None:
        """Make sure that a client has a seat left. Raises CallError TOO_MANY_REQUESTS when it has not."""
        if self._most is not None and self._board.count(client) >= self._most:
            raise CallError(Code.TOO_MANY_REQUESTS, f"At most {self._most} streams", {"limit": self._most})

    def sit(self, client: str) -> None:
        """Take a seat; `leave` gives it back."""
        self._taken[client] += 1
        self._board.add(client, 1)
        tally.gauge(catalogue.STREAMS, self._taken.total())

    def leave(self, client: str) -> None:
        """Give a seat back."""
        self._taken[client] -= 1
        self._board.add(client, -1)
        if not self._taken[client]:
            del self._taken[client]
        tally.gauge(catalogue.STREAMS, self._taken.total())

    def close(self) -> None:
        """Have no column any more."""
        self._board.close()


class Board:
    """The seats of all processes that have the file at `path` mapped, each writing its own column."""

    def __init__(self, path: Path | None) -> None:
        memory = shared(path, SIZE_BYTES, lambda _: None) if path else None
        self._locks = os.open(path, os.O_RDWR | os.O_CLOEXEC) if path and memory else None
        self._words = memoryview(memory or own(SIZE_BYTES, lambda _: None)).cast("H")
        self._column = next(filter(self._take, range(COLUMNS)), None)
        if self._column is not None:
            self._words[self._column :: COLUMNS] = memoryview(bytes(2 * ROWS)).cast("H")

    def add(self, client: str, seats: int) -> None:
        """Note that a client has taken seats here, or given them back."""
        if self._column is not None:
            for row in _rows(client):
                self._words[row * COLUMNS + self._column] += seats

    def count(self, client: str) -> int:
        """Return how many seats a client has, here and elsewhere."""
        return min(sum(self._counted(row)) for row in _rows(client))

    def close(self) -> None:
        """Give the column up."""
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None

    def _counted(self, row: int) -> Iterable[int]:
        """Yield what stands in a row in the columns of those that live."""
        for column, seats in enumerate(self._words[row * COLUMNS : (row + 1) * COLUMNS]):
            if seats and (column == self._column or self._is_held(column)):
                yield seats

    def _take(self, column: int) -> bool:
        try:
            self._ask(fcntl.F_OFD_SETLK, column)
        except OSError:
            return False
        return True

    def _is_held(self, column: int) -> bool:
        kind: int = struct.unpack(_FLOCK, self._ask(fcntl.F_OFD_GETLK, column))[0]
        return kind != fcntl.F_UNLCK

    def _ask(self, command: int, column: int) -> bytes:
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, column, 1, 0)
        return wanted if self._locks is None else fcntl.fcntl(self._locks, command, wanted)


def _rows(client: str) -> frozenset[int]:
    digest = int.from_bytes(blake2b(client.encode(), digest_size=8).digest())
    return frozenset({digest % ROWS, digest // ROWS % ROWS})
