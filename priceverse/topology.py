"""Settings → the tree of processes: the one place where roles, counts and restart policy meet. Pure.

A child gets only its own part of the settings (`config.grants`), so a reload replaces those whose part changed.
Start order (children of one number start side by side, the next number when these are ready; stop is the reverse):
0 the simulator, where this instance plays the exchanges itself; 1 what consumes trades; 2 the collectors; 3 the API.
"""

import os
import sys
from typing import Any

from priceverse.config import grants
from priceverse.config.settings import PoolSize, Settings
from supervisor.spec import Autoscale, ChildSpec, ListenerSpec, PoolSpec, Strategy, TreeSpec, ZygoteSpec

API_LISTENER = "api"
MIB = 1024 * 1024
LEAN = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}
"""Environment of every child: worker threads otherwise cost glibc an arena each; logs reach the shipper at once."""

WITHOUT = ("PRICEVERSE_", "CREDENTIALS_DIRECTORY")
"""What no child inherits: settings come by the pipe, and no secret stands in /proc."""
WARM = (
    "priceverse.child",
    "priceverse.alerts.serve",
    *(f"priceverse.housekeeper.{work}" for work in ("filling", "keeping", "recording", "rolling")),
    *(f"priceverse.{role}.serve" for role in ("rates", "collector", "aggregator", "api")),
)
"""What the zygote imports: most of what the roles do."""


def tree(settings: Settings) -> TreeSpec:
    """Return the whole tree for `settings`."""
    simulator = (_child(settings, "simulator", order=0),) if settings.simulator.listen_port else ()
    return TreeSpec(
        children=(
            *simulator,
            _child(settings, "rates", order=1),
            _child(settings, "housekeeper", order=1),
            *(_collector(settings, exchange) for exchange in settings.exchanges.enabled),
        ),
        pools=(_aggregators(settings), _handlers(settings)),
        listeners=(ListenerSpec(name=API_LISTENER, host=settings.app.host, port=settings.app.port, defer_accept_s=1),),
        control=settings.supervisor.control_socket,
        zygote=ZygoteSpec(modules=WARM, env=LEAN, without_env=WITHOUT) if settings.supervisor.warm_start else None,
        fixed={"metrics.listen": settings.metrics.listen},
    )


def _child(
    settings: Settings,
    role: str,
    *,
    order: int,
    name: str = "",
    exchange: str = "",
    **extra: Any,  # noqa: ANN401
) -> ChildSpec:
    part = grants.give(settings, role, *([f"exchanges.{exchange}"] if exchange else []))
    return ChildSpec(
        name=name or role,
        role=role,
        argv=(sys.executable, "-m", f"priceverse.{role}", name or role),  # the name is for whoever reads `ps`
        is_warm=True,
        env=LEAN,
        without_env=WITHOUT,
        settings=part,
        order=order,
        ready_timeout_s=settings.supervisor.ready_timeout_s,
        stop_timeout_s=settings.supervisor.stop_timeout_s,
        memory_soft_bytes=settings.supervisor.memory_soft_mib * MIB or None,
        memory_hard_bytes=settings.supervisor.memory_hard_mib * MIB or None,
        **extra,
    )


def _collector(settings: Settings, exchange: str) -> ChildSpec:
    return _child(settings, "collector", order=2, name=f"collector.{exchange}", critical=True, exchange=exchange)


def _aggregators(settings: Settings) -> PoolSpec:
    """Each source pair is a key, owned by one member; its derived pairs live with it."""
    size = settings.supervisor.aggregators
    return PoolSpec(
        name="aggregator",
        template=_child(settings, "aggregator", order=1, name="aggregator"),
        size=_size(size),
        minimum=size.min,
        maximum=size.max,
        strategy=Strategy(size.strategy),
        keys=settings.source_pairs,
        autoscale=Autoscale(cpu=0.7, cooldown_s=size.cooldown_s),
    )


def _handlers(settings: Settings) -> PoolSpec:
    size = settings.supervisor.handlers
    return PoolSpec(
        name="api",
        template=_child(settings, "api", order=3, name="api", listeners=(API_LISTENER,)),
        size=_size(size),
        minimum=size.min,
        maximum=size.max,
        strategy=Strategy(size.strategy),
        autoscale=Autoscale(cooldown_s=size.cooldown_s),
    )


def _size(size: PoolSize) -> int:
    wanted = (os.cpu_count() or 1) if size.size == "auto" else size.size
    return min(max(wanted, size.min), size.max)
