"""Captured frames as if they came now: when each is due and how its times move, pure.

Frames follow one another with the spacing of the capture, divided by the speed; a longer gap counts as one second, a
step back as none. Between such breaks one offset moves all times, so that at speed 1 the spacing inside stays exact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from priceverse.model.exchange import Exchange
from priceverse.simulator import captured
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.venues.protocol import Frame

LONGEST_GAP_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Due:
    """A frame to be sent at `at_ns`, its times moved."""

    at_ns: int
    frame: Frame


class Schedule:
    """Gives frames their place after `start_ns`, one after the other."""

    def __init__(self, exchange: Exchange, start_ns: int, speed: float = 1.0) -> None:
        self._exchange = exchange
        self._speed = speed
        self._last_ref_ns: int | None = None
        self._last_due_ns = start_ns
        self._block_ref_ns = self._block_due_ns = 0

    def place(self, frame: Frame) -> Due:
        """Return when the frame is due, with its times moved to then: the newest of them is that instant."""
        ref_ns = captured.newest_ns(self._exchange, frame.text)
        gap_ns = None if self._last_ref_ns is None else ref_ns - self._last_ref_ns
        if gap_ns is None or abs(gap_ns) > LONGEST_GAP_NS:
            self._begin_block(ref_ns, max(0, min(gap_ns or 0, LONGEST_GAP_NS)))
        self._last_ref_ns = ref_ns
        self._last_due_ns = max(self._last_due_ns, self._moved(ref_ns))
        return Due(self._last_due_ns, Frame(frame.symbols, captured.restamped(self._exchange, frame.text, self._moved)))

    def _begin_block(self, ref_ns: int, gap_ns: int) -> None:
        """Start a new offset; whole ms, so that at speed 1 the digits below stay as captured."""
        due_ns = self._last_due_ns + int(gap_ns / self._speed)
        self._block_due_ns = due_ns - (due_ns - ref_ns) % NS_PER_MS
        self._block_ref_ns = ref_ns

    def _moved(self, ns: int) -> int:
        elapsed_ns = ns - self._block_ref_ns
        return self._block_due_ns + (elapsed_ns if self._speed == 1 else int(elapsed_ns / self._speed))


def trade_frames(exchange: Exchange, lines: Iterable[str]) -> Iterator[Frame]:
    """Return the frames of a capture that report live trades, in its order."""
    for line in lines:
        frame = captured.frame(exchange, line.rstrip("\r\n"))
        if frame is not None:
            yield frame


def capture_file(folder: Path, exchange: Exchange) -> Path:
    """Return where the capture of a venue is, if there is one."""
    return folder / f"{exchange}.jsonl"


def captured_symbols(folder: Path, exchange: Exchange) -> frozenset[str]:
    """Return every symbol that trades in the capture of a venue. Raises OSError, UnicodeDecodeError."""
    path = capture_file(folder, exchange)
    if not path.exists():
        return frozenset()
    with path.open(encoding="utf-8") as lines:
        return frozenset(symbol for frame in trade_frames(exchange, lines) for symbol in frame.symbols)
