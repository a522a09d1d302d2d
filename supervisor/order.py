"""Who starts and who stops next (pure).

`tree` asks after every step. The rules: a child starts when all of lower order have settled, and stops when all of
higher order have gone; once the tree has started, only the predecessors in its own group hold a child back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.machine import Life, State


@dataclass(frozen=True, slots=True)
class Seat:
    """A child's place: `index` is its position in the description."""

    name: str
    order: int
    index: int
    group: str | None
    life: Life


def startable(seats: Sequence[Seat], *, started: bool) -> list[str]:
    """Return the waiting children whose turn it is; `started` once the first start of the tree is over."""
    waiting = [seat for seat in seats if seat.life.state is State.WAITING]
    if started:
        return [seat.name for seat in waiting if all(earlier.life.is_settled for earlier in _before(seats, seat))]
    floor = min((seat.order for seat in seats if not seat.life.is_settled), default=0)
    return [seat.name for seat in waiting if seat.order <= floor]


def stoppable(seats: Sequence[Seat]) -> list[str]:
    """Return those to stop now: without a process all, of the others the highest order."""
    idle = [seat.name for seat in seats if not seat.life.has_process and seat.life.state is not State.STOPPED]
    last = max((seat.order for seat in seats if seat.life.has_process), default=0)
    return idle + [seat.name for seat in seats if seat.life.has_process and seat.order == last and seat.life.wanted]


def dragged(seats: Sequence[Seat], name: str) -> list[str]:
    """Return the wanted children that restart with `name`: those after it in its group (rest for one)."""
    fallen = next(seat for seat in seats if seat.name == name)
    return [seat.name for seat in _same_group(seats, fallen) if _rank(seat) > _rank(fallen) and seat.life.wanted]


def _before(seats: Sequence[Seat], seat: Seat) -> Iterable[Seat]:
    return (other for other in _same_group(seats, seat) if _rank(other) < _rank(seat))


def _same_group(seats: Sequence[Seat], seat: Seat) -> Iterable[Seat]:
    return (other for other in seats if seat.group is not None and other.group == seat.group)


def _rank(seat: Seat) -> tuple[int, int]:
    return seat.order, seat.index
