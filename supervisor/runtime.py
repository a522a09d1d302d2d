"""Run a tree until it is told to stop: signals, sockets and clocks round `tree`.

The one entry for a program that supervises. The rule: `run` returns only when no child is left.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping

import trio

from supervisor import listeners
from supervisor.events import Event, Name
from supervisor.exits import OnExit, on_child_exit
from supervisor.fleet import Fleet
from supervisor.spec import TreeSpec
from supervisor.tree import Tree

OnReady = Callable[[Mapping[str, listeners.Address]], None]


async def run(
    tree: TreeSpec,
    *,
    on_event: Callable[[Event], None],
    reload: Callable[[], TreeSpec] | None = None,
    on_ready: OnReady | None = None,
    on_exit: OnExit = on_child_exit,
    task_status: trio.TaskStatus[Tree] = trio.TASK_STATUS_IGNORED,
) -> int:
    """Run the tree on the main thread and return the exit code for the root.

    SIGTERM and SIGINT stop in order, the second one at once; SIGHUP reloads. `on_ready` is called once with the bound
    addresses of the listeners. Raises SupervisorError if it cannot start.
    """
    sockets = listeners.open_all(tree.listeners, listeners.from_systemd(os.environ, os.getpid()))
    with contextlib.ExitStack() as stack:
        for sock in sockets.values():
            stack.enter_context(sock)
        async with trio.open_nursery() as nursery:
            fds = {name: sock.fileno() for name, sock in sockets.items()}
            running = Tree(tree, fds, nursery, on_event, on_exit)
            await nursery.start(_obey_signals, running)
            nursery.start_soon(running.keep_time)
            fleet = Fleet(running, nursery)
            for spec in tree.children:
                running.add(spec)
            for pool in tree.pools:
                fleet.open(pool)
            nursery.start_soon(fleet.watch)
            nursery.start_soon(fleet.vitals.watch)
            task_status.started(running)
            nursery.start_soon(_announce, running, on_ready, listeners.addresses(sockets))
            await running.stopped.wait()
            nursery.cancel_scope.cancel()
    running.report(Name.TREE_STOPPED, exit_code=running.exit_code)
    return running.exit_code


async def _announce(running: Tree, on_ready: OnReady | None, bound: Mapping[str, listeners.Address]) -> None:
    await running.started.wait()
    if on_ready is not None:
        on_ready(bound)


async def _obey_signals(running: Tree, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for signum in signals:
            if signum == signal.SIGHUP:
                continue
            if running.is_stopping:
                running.kill()
            running.stop()
