"""Calls from the root to its children that wait for a reply.

`tree` hands in the replies it hears. The rule: every call ends, with a result or a `ControlError` that names the child.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import trio

from supervisor.errors import Code, ControlError
from supervisor.wire import JSON, Reply

_FAILED = 3

Tell = Callable[[Mapping[str, object]], bool]


class Asks:
    """The calls that are under way."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._open: dict[int, _Ask] = {}

    async def ask(self, child: str, tell: Tell, method: str, params: Mapping[str, Any], timeout_s: float) -> JSON:
        """Send the call by `tell` and return its result; raises ControlError."""
        ask_id = next(self._ids)
        asked = self._open[ask_id] = _Ask(child)
        try:
            if not tell({"t": "ask", "id": ask_id, "method": method, "params": dict(params)}):
                raise ControlError(f"{child} has stopped reading", _FAILED)
            with trio.move_on_after(timeout_s):
                await asked.answered.wait()
        finally:
            del self._open[ask_id]
        if asked.reply is None:
            raise ControlError(f"{child} did not answer {method} within {timeout_s:g} s", Code.TEMPORARY)
        if asked.reply.error:
            raise ControlError(f"{child}: {asked.reply.error}", _FAILED)
        return asked.reply.result

    def answer(self, child: str, reply: Reply) -> None:
        """Match a reply; one that nobody waits for any longer, or from another child, is dropped."""
        asked = self._open.get(reply.id)
        if asked is not None and asked.child == child:
            asked.give(reply)

    def fail(self, child: str) -> None:
        """End the calls to a child that has exited."""
        for asked in self._open.values():
            if asked.child == child:
                asked.give(Reply(0, None, "it exited"))


class _Ask:
    def __init__(self, child: str) -> None:
        self.child = child
        self.answered = trio.Event()
        self.reply: Reply | None = None

    def give(self, reply: Reply) -> None:
        self.reply = reply
        self.answered.set()
