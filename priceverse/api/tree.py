"""`GET /health/tree`: the processes of the instance as the supervisor sees them; who may see `/health` may see it.

The root has them: a handler asks it over its socket. The rule: however many look, it is asked once in two seconds.
"""

from pathlib import Path

import h11
import trio
from quart import Response

from priceverse.api import answers
from priceverse.metrics import listener
from priceverse.rpc.endpoint import NO_STORE, Endpoint
from priceverse.rpc.errors import CallError, Code

PATIENCE_S = 5.0
KEEP_S = 2.0
_AWAY = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, trio.TooSlowError)


class TreeView:
    """Answers it."""

    def __init__(self, socket: Path, endpoint: Endpoint) -> None:
        self._socket = socket
        self._endpoint = endpoint
        self._asking = trio.Lock()
        self._kept: tuple[float, listener.Page] | None = None

    async def view(self) -> Response:
        """Answer each process: name, role, state, restarts, seconds it has run."""
        try:
            page = await self._page()
        except _AWAY:
            return answers.refused(self._endpoint, CallError(Code.OVERLOADED, "The supervisor does not answer"))
        headers = dict([NO_STORE, answers.NOSNIFF])
        return Response(page.body, page.status, headers=headers, content_type=page.content_type)

    async def _page(self) -> listener.Page:
        async with self._asking:
            if self._kept is None or trio.current_time() - self._kept[0] > KEEP_S:
                with trio.fail_after(PATIENCE_S):
                    page = await listener.fetch(listener.at(str(self._socket)), "/tree", "application/json")
                self._kept = (trio.current_time(), page)
            return self._kept[1]
