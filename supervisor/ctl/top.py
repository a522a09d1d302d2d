"""The live screen: children, pools, streams and the latest events, once a second.

The rule: it only looks; a daemon that goes away and comes back is waited for.
"""

import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from supervisor.ctl import screen
from supervisor.ctl.client import Client, Refused

_HINT = "sort n c m r o · quit q"
_EVENTS_MIN, _EVENTS_MAX = 3, 8
_SORTS = {"n": "name", "c": "cpu", "m": "rss_bytes", "r": "restarts"}


def run(path: Path, interval_s: float = 1.0) -> None:
    """Show until `q` or Ctrl-C. Keys: n, c, m, r sort by name, CPU, memory, restarts; o is the start order."""
    console, sort = Console(), ""
    with _keys() as read_key, Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(frame(path, sort, console.height), refresh=True)
            key = read_key(interval_s)
            if key == "q":
                return
            sort = _SORTS.get(key, "" if key == "o" else sort)


def frame(path: Path, sort: str, height: int) -> RenderableType:
    """Return one picture, also when nobody answers."""
    try:
        with Client(path) as client:
            status, events = client.call("status"), list(_events(client))
        with Client(path) as client:
            streams = client.call("streams")["children"]
    except Refused as fault:
        return Panel(Text(f"{fault}\nwaiting for it …", style="bold yellow"))
    children = status["children"]
    if sort:
        children = sorted(children, key=lambda child: child[sort], reverse=sort != "name")
    parts: list[RenderableType] = [_one_line(screen.headline(status)), Text(), screen.children_table(children)]
    left = height - len(children) - 3
    if status["pools"]:
        parts += [Text(), screen.pools_table(status["pools"])]
        left -= len(status["pools"]) + 2
    room = max(_EVENTS_MIN, min(_EVENTS_MAX, left - 3))
    for shown in screen.streams_tables(streams, rows=left - room - 3):
        parts += [Text(), shown]
    latest = [_one_line(screen.event(event)) for event in events[-room:]]
    panel = Panel(Group(*latest), title="events", title_align="left", subtitle=_HINT, style="dim")
    return Group(*parts, Text(), panel)


def _events(client: Client) -> Iterator[Any]:
    yield from client.stream("events", {"follow": False})


def _one_line(text: Text) -> Text:
    line, *more = text.split("\n", allow_blank=True)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line.append(" …") if more else line


@contextmanager
def _keys() -> Iterator[Any]:
    """Yield a function that waits for a key at most so long and returns it, or nothing; no terminal, no keys."""
    if not sys.stdin.isatty():
        yield lambda seconds: select.select([], [], [], seconds) and ""
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield lambda seconds: _pressed() if select.select([sys.stdin], [], [], seconds)[0] else ""
    finally:
        with suppress(termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> str:
    """Return the key; a terminal that has gone says the same as `q`, and says it for ever."""
    try:
        return sys.stdin.read(1) or "q"
    except OSError:
        return "q"
