"""The words on the pipe between the root and a child: newline-delimited JSON objects, both ways (pure).

    root → child   welcome, assign, ask, drain, stop
    child → root   hello, ready, beat, event, assigned, reply

The rule: frames are bounded, and one that is not of the protocol is a `WireError`, never a guess.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from supervisor.errors import WireError

JSON: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None

PIPE_VARIABLE = (
    "SUPERVISOR_PIPE"  # "<pipe fd>:<stacks fd>:<pid of the root>", all that a child finds in its environment
)
TO_CHILD_MAX_BYTES = 1024 * 1024  # the welcome carries the settings
TO_ROOT_MAX_BYTES = 256 * 1024
_INT_BITS = 64


class Lines:
    """Split a byte stream into JSON objects; keeps what has not ended in a newline yet."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the objects completed by `data`; raises WireError on a long, broken or foreign line."""
        *complete, rest = (self._rest + data).split(b"\n")
        self._rest = bytearray(rest)
        if max(map(len, complete), default=0) > self._max_bytes or len(rest) > self._max_bytes:
            raise WireError(f"a frame longer than {self._max_bytes} bytes")
        return [_object(bytes(line)) for line in complete if line.strip()]


def encode(word: Mapping[str, object]) -> bytes:
    return json.dumps(word, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    try:
        word = json.loads(line, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as fault:
        raise WireError(f"not JSON ({fault}): {_excerpt(line)}") from fault
    if not isinstance(word, dict):
        raise WireError(f"not an object: {_excerpt(line)}")
    return word


def _whole(digits: str) -> int:
    number = int(digits)
    if number.bit_length() > _INT_BITS:
        raise ValueError(f"{digits[:40]} … has more than {_INT_BITS} bits")
    return number


def _finite(digits: str) -> float | None:
    """Read NaN, Infinity and what overflows to it as null: no later sum or comparison has to expect them."""
    number = float(digits)
    return number if math.isfinite(number) else None


def _excerpt(line: bytes) -> str:
    return repr(line[:80])


# --- what the root hears


@dataclass(frozen=True, slots=True)
class Hello:
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life from the loop that does the work. `counters` only grow within one process.

    `busy` is the share of one core used since the last beat, `lag_s` how late the loop woke for this one.
    """

    counters: Mapping[str, float]
    stats: Mapping[str, Any]
    healthy: bool = True
    reason: str = ""
    busy: float = 0.0
    lag_s: float = 0.0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the child itself."""

    event: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Assigned:
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reply:
    """`error` is empty when the call went well."""

    id: int
    result: JSON
    error: str = ""


Heard: TypeAlias = Hello | Ready | Beat | Said | Assigned | Reply


def heard(word: Mapping[str, Any]) -> Heard:
    """Read one frame of a child; raises WireError if it is unknown or misshapen."""
    read = _READERS.get(str(word.get("t")))
    if read is None:
        raise WireError(f"unknown frame {word.get('t')!r}")
    try:
        return read(word)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise WireError(f"misshapen frame {word.get('t')!r}: {fault!r}") from fault


def _beat(word: Mapping[str, Any]) -> Beat:
    return Beat(
        counters={str(name): _number(count) for name, count in word["counters"].items()},
        stats=dict(word["stats"]),
        healthy=bool(word["healthy"]),
        reason=str(word["reason"])[:200],
        busy=_number(word["busy"]),
        lag_s=_number(word["lag_s"]),
        dropped=int(word["dropped"]),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _said(word: Mapping[str, Any]) -> Said:
    event = str(word["event"])
    if not event.isidentifier() or len(event) > 64:
        raise ValueError(f"event {event[:80]!r}")
    return Said(event, dict(word["data"]))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Heard]] = {
    "hello": lambda word: Hello(int(word["pid"])),
    "ready": lambda word: Ready(frozenset(map(str, word["methods"]))),
    "beat": _beat,
    "event": _said,
    "assigned": lambda word: Assigned(frozenset(map(str, word["keys"]))),
    "reply": lambda word: Reply(int(word["id"]), word.get("result"), str(word.get("error", ""))),
}
