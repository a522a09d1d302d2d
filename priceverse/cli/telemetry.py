"""The root's telemetry: what the supervisor tells of its children goes into the metrics, which are served from here.

Two doors: `metrics.sock` beside the control socket for this program's own processes, and `metrics.listen` for
Prometheus. The rule: the oracle does not depend on either; an address that cannot be had is tried again.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import trio

from priceverse import __version__, log
from priceverse.config.settings import Settings
from priceverse.metrics import pages
from priceverse.metrics.instance import Instance
from priceverse.metrics.listener import Render, serve
from supervisor import views
from supervisor.errors import ListenError
from supervisor.events import Event
from supervisor.listeners import addresses, open_all
from supervisor.runtime import Running
from supervisor.spec import ListenerSpec
from supervisor.wire import Beat

METRICS = "metrics"
_RETRY_S = 10.0
_BACKLOG = 32


class Telemetry:
    """Hears the tree; `bound` says where the public page is, once it is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance = Instance(__version__)
        self.bound: Mapping[str, tuple[str, int]] = {}

    def on_event(self, event: Event) -> None:
        """Count what happened."""
        self._instance.on_event(event.name, event.child, event.data)

    def on_beat(self, child: str, pid: int, beat: Beat) -> None:
        """Take what a child reports."""
        self._instance.on_beat(
            child, pid, {"stats": beat.stats, "counters": beat.counters, "busy": beat.busy, "lag_s": beat.lag_s}
        )

    async def serve(self, running: Running) -> None:
        """Serve the metrics of a tree that runs, until cancelled."""
        self._instance.of_tree(lambda: views.status(running.tree, running.fleet))
        path = self._settings.metrics_socket
        own = ListenerSpec(name=METRICS, path=path, backlog=_BACKLOG)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, own, pages.private(self._instance))
                if address := self._settings.metrics.address:
                    public = ListenerSpec(name=METRICS, host=address[0], port=address[1], backlog=_BACKLOG)
                    nursery.start_soon(partial(self._listen, public, pages.public(self._instance), is_public=True))
        finally:
            with suppress(OSError):
                path.unlink()

    async def _listen(self, spec: ListenerSpec, shown: Mapping[str, Render], *, is_public: bool = False) -> None:
        while True:
            try:
                sockets = open_all([spec])
            except ListenError as fault:
                log.get_logger().error("metrics_not_served", error=str(fault), next_attempt_s=_RETRY_S)
                await trio.sleep(_RETRY_S)
                continue
            if is_public:
                self.bound = addresses([spec], sockets)
            listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets.values()]
            await serve(listeners, shown)
