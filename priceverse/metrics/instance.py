"""The whole instance in numbers: what its children report, what happens to them, how the tree stands. The root's.

It hears beats and events, and asks for the tree's status when somebody wants to see the page. Plain values only: it
knows the words of the supervisor, not its types.
"""

import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from priceverse.metrics import catalogue as metric
from priceverse.metrics import exposition, usage
from priceverse.metrics.merge import Merge, totals
from priceverse.metrics.metric import Metric, Sample, packed, unpacked
from priceverse.metrics.summary import summary
from priceverse.metrics.tally import Tally

Status = Callable[[], Mapping[str, Any]]

ROOT = "root"
RATE_WINDOW_S = 10.0
NOTE_EVERY_S = 1.0
LABEL_CHARS = 40


class Instance:
    """Beats and events in, pages out. `now_s` is a steady clock."""

    def __init__(self, version: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._merge = Merge()
        self._tally = Tally()
        self._now_s = now_s
        self._began_s = now_s()
        self._status: Status = dict
        self._noted: deque[tuple[float, Mapping[Metric, float]]] = deque([(now_s(), {})])
        self._tally.watch(usage.cpu)
        self._tally.gauge(metric.BUILD, 1, version, platform.python_version())

    def of_tree(self, status: Status) -> None:
        """Ask `status` from now on how the tree stands."""
        self._status = status

    def on_beat(self, child: str, pid: int, beat: Mapping[str, Any]) -> None:
        """Take a child's beat: its `stats`, `counters`, `busy` and `lag_s`."""
        reported = unpacked(beat["stats"].get("metrics"), metric.KNOWN)
        counted = [Sample(metric.PROGRESS, (name,), n) for name, n in beat["counters"].items()]
        loop = [Sample(metric.LOOP_BUSY, (), beat["busy"]), Sample(metric.LOOP_LAG, (), beat["lag_s"])]
        self._merge.hear(child, pid, [*reported, *counted, *loop])
        self._note()

    def on_event(self, name: str, child: str, data: Mapping[str, Any]) -> None:
        """Take what happened in the tree."""
        self._tally.count(metric.EVENTS, 1, name)
        if name == "worker_started":
            self._tally.count(metric.CHILD_STARTS, 1, child)
            self._tally.count(metric.CHILD_RESTARTS, min(1, data.get("restarts", 0)), child)
        elif name == "worker_exited":
            self._merge.gone(child)
            if not data.get("expected"):
                self._tally.count(metric.CHILD_EXITS, 1, child, str(data.get("end", ""))[:LABEL_CHARS])

    def samples(self) -> list[Sample]:
        """Return everything that is known now."""
        self._merge.hear(ROOT, 0, unpacked(self._tally.report()["metrics"], metric.KNOWN))
        return [*self._merge.samples(), *self._own(), *_of_status(self._status())]

    def page(self) -> bytes:
        """Return the OpenMetrics page."""
        return exposition.render(metric.ALL, self.samples())

    def summary(self) -> dict[str, Any]:
        """Return the seed's `Metrics`; rates are over the last ten seconds."""
        samples = self.samples()
        before_s, before = self._noted[0]
        return summary(samples, before, elapsed_s=max(self._now_s() - before_s, 1e-3), now_ms=time.time() * 1000)

    def packed(self) -> list[list[Any]]:
        """Return all samples as JSON values, for another process of this program."""
        return packed({(sample.metric, sample.labels): sample.value for sample in self.samples()})

    def tree(self) -> list[dict[str, Any]]:
        """Return each process of the tree, without what only its operator should know."""
        shown = ("name", "role", "state", "restarts", "uptime_s")
        return [{key: child[key] for key in shown} for child in self._status().get("children", ())]

    def _own(self) -> Iterator[Sample]:
        yield Sample(metric.UPTIME, (), self._now_s() - self._began_s)
        yield Sample(metric.MEMORY, (), usage.resident_bytes())

    def _note(self) -> None:
        """Keep the sums of the last seconds, for rates."""
        now_s = self._now_s()
        if now_s - self._noted[-1][0] >= NOTE_EVERY_S:
            self._noted.append((now_s, totals(sample for sample in self._merge.samples() if sample.metric.is_sum)))
            while len(self._noted) > 1 and self._noted[1][0] <= now_s - RATE_WINDOW_S:
                self._noted.popleft()


def _of_status(status: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield what the status of the tree says of its children and pools."""
    children: Iterable[Mapping[str, Any]] = status.get("children", ())
    for child in children:
        name = str(child["name"])
        yield Sample(metric.CHILD_UP, (name, str(child["role"])), int(child["state"] == "ready"))
        yield Sample(metric.CHILD_STATE, (name, str(child["state"])), 1)
        yield Sample(metric.CHILD_MEMORY, (name,), child["rss_bytes"])
        yield Sample(metric.CHILD_CPU, (name,), child["cpu"])
    for pool in status.get("pools", ()):
        yield Sample(metric.POOL_SIZE, (str(pool["name"]),), pool["size"])
        yield Sample(metric.POOL_READY, (str(pool["name"]),), pool["active"])
