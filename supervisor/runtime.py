"""Run a tree until it is told to stop: the sockets, signals, files and clocks round `tree` and `fleet`.

The one entry for a program that supervises. The rule: `run` returns only when no child is left.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from supervisor import control, exits, listeners, zygote
from supervisor.alarms import Alarms
from supervisor.answers import Answers, History
from supervisor.claim import Claim, Orphan, Record
from supervisor.errors import ControlError
from supervisor.events import Event, Name
from supervisor.exits import OnExit
from supervisor.fleet import Fleet
from supervisor.listeners import Address
from supervisor.machine import State
from supervisor.notify import Notifier
from supervisor.reload import Reloader
from supervisor.spec import TreeSpec
from supervisor.tree import Slot, Tree
from supervisor.wire import Beat, Heard

OnEvent = Callable[[Event], None]
OnReady = Callable[[Mapping[str, Address]], None]
OnBeat = Callable[[str, int, Beat], None]
_STATUS_S = 1.0


@dataclass(frozen=True, slots=True)
class _Hooks:
    on_event: OnEvent
    on_ready: OnReady | None
    on_beat: OnBeat | None
    on_child_exit: OnExit
    reload: Callable[[], TreeSpec] | None
    program: str


@dataclass(frozen=True, slots=True)
class Running:
    """A tree that runs, for the program round it."""

    tree: Tree
    fleet: Fleet
    reloader: Reloader
    notifier: Notifier

    async def reload(self, dry_run: bool) -> Mapping[str, object]:
        """Reload, and tell the service manager so, which hears of it only between the start and the stop."""
        is_told = self.tree.is_started and not dry_run
        if is_told:
            self.notifier.reloading()
        try:
            return await self.reloader.reload(dry_run)
        finally:
            if is_told and not self.tree.is_stopping:
                self.notifier.ready()


async def run(
    tree: TreeSpec,
    *,
    on_event: OnEvent,
    reload: Callable[[], TreeSpec] | None = None,
    on_ready: OnReady | None = None,
    on_beat: OnBeat | None = None,
    on_child_exit: OnExit = exits.on_child_exit,
    program: str = "supervisor",
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> int:
    """Run the tree on the main thread and return the exit code for the root.

    SIGTERM and SIGINT stop in order, the second one at once; SIGHUP reads `reload` again. `on_ready` is called once,
    when every child has settled, with the bound addresses of the listeners; `on_beat` with a child's name, the pid of
    its process and each beat; `on_child_exit` decides what follows from an exit that nobody asked for.
    Raises SupervisorError if it cannot start.
    """
    assert threading.current_thread() is threading.main_thread(), "PR_SET_PDEATHSIG follows the spawning thread"
    hooks = _Hooks(on_event, on_ready, on_beat, on_child_exit, reload, program)
    with contextlib.ExitStack() as stack:
        ground = _ground(tree, stack)
        return await _run(tree, hooks, ground, task_status)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What must be had before anything is spawned."""

    claim: Claim | None
    orphans: Sequence[Orphan]
    control: socket.socket | None
    sockets: Mapping[str, socket.socket]


def _ground(tree: TreeSpec, stack: contextlib.ExitStack) -> _Ground:
    """Take the lock, end what an earlier root left (it may hold the ports), then bind."""
    claim, orphans, control_socket = None, list[Orphan](), None
    if tree.control is not None:
        claim = Claim(tree.control)
        stack.enter_context(claim.held())
        orphans = claim.reap()
        control_socket = stack.enter_context(control.bound(tree.control, tree.control_group))
    sockets = listeners.open_all(tree.listeners, listeners.from_systemd(os.environ, os.getpid()))
    for sock in sockets.values():
        stack.enter_context(sock)
    return _Ground(claim, orphans, control_socket, sockets)


async def _run(spec: TreeSpec, hooks: _Hooks, ground: _Ground, task_status: trio.TaskStatus[Running]) -> int:
    history = History()
    notifier = Notifier()

    def on_event(event: Event) -> None:
        if event.name == Name.TREE_STOPPING:
            notifier.stopping()
        history.add(event)
        hooks.on_event(event)

    async with trio.open_nursery() as nursery:
        tree = Tree(
            spec, {name: sock.fileno() for name, sock in ground.sockets.items()}, nursery, on_event, hooks.on_child_exit
        )
        tree.addresses = listeners.addresses(spec.listeners, ground.sockets)
        fleet = Fleet(tree, nursery)
        running = Running(tree, fleet, Reloader(tree, fleet, hooks.reload), notifier)
        await nursery.start(_obey_signals, running)
        _record(ground, tree)
        if ground.control is not None:
            answers = Answers(tree, fleet, history, hooks.program, running.reload)
            server = control.Control(answers.answers(), answers.streaming(), tree.report)
            nursery.start_soon(server.serve, ground.control)
        for task in (Alarms(tree).watch, fleet.watch, fleet.vitals.watch):
            nursery.start_soon(task)
        nursery.start_soon(_keep_notified, running)
        nursery.start_soon(_announce, running, hooks.on_ready)
        _listen_to_beats(tree, hooks.on_beat)
        _populate(running)
        if tree.zygote is not None:
            nursery.start_soon(tree.zygote.keep)
        nursery.start_soon(_open, tree)
        task_status.started(running)
        await tree.stopped.wait()
        nursery.cancel_scope.cancel()
    tree.report(Name.TREE_STOPPED, exit_code=tree.exit_code)
    return tree.exit_code


def _populate(running: Running) -> None:
    for child in running.tree.spec.children:
        running.tree.add(child)
    for pool in running.tree.spec.pools:
        running.fleet.open(pool)


async def _open(tree: Tree) -> None:
    """Let the children start, as soon as the zygote, if there is one, can fork them."""
    if tree.zygote is not None:
        with trio.move_on_after(zygote.WARM_S):
            await tree.zygote.settled.wait()
    tree.open()


def _record(ground: _Ground, tree: Tree) -> None:
    """Report what was reaped, and keep the list for the next root."""
    for orphan in ground.orphans:
        tree.report(Name.ORPHAN_REAPED, orphan.name, pid=orphan.pid)

    def remember() -> None:
        living = [(slot.spec.name, slot.process) for slot in tree.slots.values() if slot.process is not None]
        if ground.claim is not None:
            try:
                ground.claim.remember(Record(name, child.pid, child.started_ticks) for name, child in living)
            except OSError as fault:  # children die with their root all the same, unless one had itself detached
                tree.report(Name.RECORD_FAILED, fault=str(fault))

    tree.on_process.append(remember)


def _listen_to_beats(tree: Tree, on_beat: OnBeat | None) -> None:
    def hear(slot: Slot, said: Heard) -> None:
        if on_beat is not None and isinstance(said, Beat) and slot.process is not None:
            on_beat(slot.spec.name, slot.process.pid, said)

    tree.on_heard.append(hear)


async def _announce(running: Running, on_ready: OnReady | None) -> None:
    await running.tree.started.wait()
    if on_ready is not None:
        on_ready(running.tree.addresses)
    running.notifier.ready()


async def _keep_notified(running: Running) -> None:
    """Tell the service manager how things are, and that this loop turns."""
    while True:
        running.notifier.status(_line(running.tree))
        running.notifier.watchdog()
        await trio.sleep(min(_STATUS_S, running.notifier.watchdog_s or _STATUS_S))


def _line(tree: Tree) -> str:
    wanted = [slot for slot in tree.slots.values() if slot.life.wanted]
    ready = sum(slot.life.state is State.READY for slot in wanted)
    fatal = [slot.spec.name for slot in wanted if slot.life.state is State.FATAL]
    return f"{ready} of {len(wanted)} children ready" + (f"; fatal: {', '.join(fatal)}" if fatal else "")


async def _obey_signals(running: Running, task_status: trio.TaskStatus[None]) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for signum in signals:
                if signum == signal.SIGHUP:
                    nursery.start_soon(_reload, running)
                elif running.tree.is_stopping:
                    running.tree.kill()
                else:
                    running.tree.stop()


async def _reload(running: Running) -> None:
    with contextlib.suppress(ControlError):  # it has been reported, and nobody waits for an answer
        await running.reload(False)
