"""The table of all clients' limits: a small file that every handler of the instance has mapped into its memory.

    slot = fingerprint of (client, method), the instant at which the client will be quiet again; 8 slots a bucket

A call costs some reads and a write of memory, no system call. Each process alone is exact. What another process wrote
meanwhile is seen and the sum done again; between that look and the write lie 0.1 µs, in which a call of the other's may
go uncounted. A process that is halted just there writes an instant of long ago; but they only grow, so the others put
right what they have seen. That is all the overshoot, far below 5 % at the rate of real calls. A full bucket forgets who
is quiet longest, or soonest will be.

The rule: nothing here waits, and nothing that stands in the file is believed beyond what a limit could have written.
"""

import mmap
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from time import monotonic_ns

from priceverse.api.mapped import own, shared
from priceverse.rpc.limits import Limit, Quota, spend

BUCKETS = 8192
WAYS = 8
HEAD_BYTES = 64
SIZE_BYTES = HEAD_BYTES + BUCKETS * WAYS * 16
MAGIC = b"pvlimit1"
MAX_KNOWN = 65_536
TRIES = 8

Overrides = Callable[[str, str], int | None]
"""Client and method → the requests that this client has of it, if it has its own limit."""


class Table:
    """Quiet instants (µs of the machine's monotonic clock) by client and method. `is_shared` with other processes."""

    def __init__(self, path: Path | None) -> None:
        """Map the file at `path`, made if need be; without a path, or where it cannot be, memory of one's own."""
        memory = shared(path, SIZE_BYTES, _begin) if path else None
        self.is_shared = memory is not None
        memory = memory or own(SIZE_BYTES, _begin)
        self._salt = memory[8:24]
        self.words = memoryview(memory)[HEAD_BYTES:].cast("q")

    def find(self, client: str, method: str) -> tuple[int, int]:
        """Return the slot of a client and its fingerprint; a new client takes the slot that is least missed."""
        digest = blake2b(f"{client}\0{method}".encode(), digest_size=8, key=self._salt).digest()
        words, mark = self.words, int.from_bytes(digest, "little", signed=True)
        first = mark % BUCKETS * WAYS * 2
        slots = range(first, first + WAYS * 2, 2)
        slot = next((each for each in slots if words[each] == mark), None)
        if slot is None:
            slot = min(slots, key=lambda each: words[each + 1])
            words[slot], words[slot + 1] = mark, 0
        return slot, mark

    def forgive(self, client: str, method: str) -> None:
        """Forget what a client has done."""
        slot, _ = self.find(client, method)
        self.words[slot + 1] = 0


@dataclass(slots=True)
class Known:
    """A client's slot, whose it is, the client's limit, and the latest instant that was seen there."""

    slot: int
    mark: int
    limit: Limit
    seen_us: int = 0


class Limits:
    """The `Limiter` port: the table, and whose limits are not the methods' own."""

    def __init__(self, table: Table, methods: Mapping[str, int], of_client: Overrides = lambda *_: None) -> None:
        self._table = table
        self._methods = methods
        self._of_client = of_client
        self._known: dict[tuple[str, str], Known] = {}

    def take(self, client: str, method: str, limit: Limit) -> Quota:
        """Count one call of `client` if its limit allows it."""
        words = self._table.words
        known = self._known.get((client, method))
        if known is None or words[known.slot] != known.mark:
            known = self._know(client, method, limit)
        at, limit = known.slot + 1, known.limit
        for _ in range(TRIES):
            was_us = words[at]
            seen_us = known.seen_us
            most_us = seen_us if 0 < was_us < seen_us else was_us  # instants only grow; 0: begun anew
            quota, quiet_at_us = spend(method, limit, most_us, monotonic_ns() // 1000)
            if words[at] == was_us:  # else another process has written meanwhile, which is not to be undone
                if quiet_at_us != was_us:
                    words[at] = quiet_at_us
                break
        known.seen_us = quiet_at_us
        return quota

    def forget(self) -> None:
        """Ask anew what limits clients have."""
        self._known.clear()

    def _know(self, client: str, method: str, limit: Limit) -> "Known":
        requests = self._of_client(client, method) or self._methods.get(method, limit.requests)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        known = self._known[client, method] = Known(*self._table.find(client, method), Limit(requests, limit.per_s))
        return known


def _begin(memory: mmap.mmap) -> None:
    if memory[:8] != MAGIC:
        memory[:24] = MAGIC + secrets.token_bytes(16)
