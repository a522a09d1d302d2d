"""The loop of the alerts: look at the instance every few seconds, tell what has turned, remember what was told.

What fires is kept in Redis, so that a restart tells nothing twice. The rule: nothing that is away ends it; without the
root's figures there is nothing to judge, without Redis nothing is remembered.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import h11
import msgspec
import trio

from priceverse.alerts.rules import Figures, rules
from priceverse.alerts.watch import Notice, State, Watch
from priceverse.alerts.webhook import Post, Sender, Webhook, post
from priceverse.bus import alerts as memory
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.log import get_logger
from priceverse.metrics import catalogue, listener, tally
from priceverse.metrics.metric import Sample, unpacked

FETCH_S = 5.0
_AWAY = (OSError, trio.BrokenResourceError, trio.TooSlowError, h11.RemoteProtocolError, msgspec.DecodeError)


async def serve(settings: Settings, stopping: trio.Event, *, deliver: Post = post) -> None:
    """Watch until `stopping` is set."""
    if not settings.alerts.enabled:
        return
    hooks = webhooks(settings, deliver)
    watch = Watch(rules(settings), repeat_s=settings.alerts.repeat_s)
    async with RedisDoor(settings.redis) as door, trio.open_nursery() as nursery:
        with suppress(RedisUnavailable):
            watch.restore(await memory.load(door, settings.app.name), now_ms())
        for hook in hooks:
            nursery.start_soon(hook.run)
        while not stopping.is_set():
            await _measure(settings.alerts.disk_paths, door)
            await _look(settings, watch, hooks, door)
            with trio.move_on_after(settings.alerts.interval_s):
                await stopping.wait()
        nursery.cancel_scope.cancel()


def webhooks(settings: Settings, deliver: Post) -> tuple[Webhook, ...]:
    """Return the configured receivers."""
    secret = settings.alerts.webhook_secret
    sender = Sender(settings.app.name, secret.get_secret_value() if secret else None)
    return tuple(Webhook(url, sender, deliver) for url in settings.alerts.webhooks)


async def _look(settings: Settings, watch: Watch, hooks: Iterable[Webhook], door: RedisDoor) -> None:
    try:
        figures = Figures(await _samples(settings.metrics_socket))
    except _AWAY as fault:
        get_logger().warning("metrics_unreadable", error=str(fault) or type(fault).__name__)
        return
    notices = watch.look(figures, now_ms())
    tally.gauge(catalogue.ALERTS, len(watch.firing))
    for notice in notices:
        _log(notice)
        for hook in hooks:
            hook.offer(notice)
    if notices:
        with suppress(RedisUnavailable):  # a restart would tell it again
            await memory.store(door, settings.app.name, watch.firing)


async def _samples(socket: Path) -> list[Sample]:
    """Ask the root for all samples. Raises what `_AWAY` names."""
    with trio.fail_after(FETCH_S):
        page = await listener.fetch(listener.at(str(socket)), "/samples", "application/json")
    return unpacked(msgspec.json.decode(page.body), catalogue.KNOWN, merged=True)


async def _measure(disk_paths: Iterable[Path], door: RedisDoor) -> None:
    """Measure what no process reports of itself."""
    for path in disk_paths:
        with suppress(OSError):
            tally.gauge(catalogue.DISK, _used(path), str(path))
    with suppress(RedisUnavailable):
        tally.gauge(catalogue.REDIS_MEMORY, await memory.used_ratio(door))


def _used(path: Path) -> float:
    found = os.statvfs(path)
    usable = found.f_blocks - found.f_bfree + found.f_bavail
    return 1 - found.f_bavail / usable if usable else 0.0


def _log(notice: Notice) -> None:
    log = get_logger().info if notice.state is State.RESOLVED else get_logger().error
    log(
        f"alert_{notice.state}",
        alert=notice.rule,
        subject=notice.subject,
        severity=notice.severity,
        message=notice.message,
        since_ms=notice.since_ms,
    )
