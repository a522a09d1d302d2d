"""What changes when a new tree description replaces the running one: a pure plan, and its execution.

The rules: what can change live does, settings where every process concerned says that it takes them; a child whose
program or environment changed, or that does not take its settings, is replaced, a pool member with a spare beside it;
sockets and control path are the root's own, so a change of those is named and refused.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import trio

from supervisor.errors import ControlError, SpecError
from supervisor.events import Name
from supervisor.fleet import Fleet
from supervisor.machine import Kind, State
from supervisor.spec import ChildSpec, PoolSpec, TreeSpec
from supervisor.tree import Slot, Tree

_PROCESS = {
    "argv",
    "env",
    "without_env",
    "settings",
    "role",
    "listeners",
    "beat_interval_s",
}  # of a child: part of its process
_ROOT = ("listeners", "control", "control_group", "zygote")
_LIVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Names by what happens to them. `live` and `replaced` say which fields changed, `refused` why not.

    Of settings the keys that changed are named, as `settings.a.b`; never their values, which may be secret.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    live: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def resettled(self) -> tuple[str, ...]:
        """Return those replaced for their settings only: they may be able to take them live."""
        return tuple(name for name, changed in self.replaced.items() if _heads(changed) & _PROCESS == {"settings"})

    def with_replaced(self, behind: Mapping[str, tuple[str, ...]]) -> "Plan":
        """Return the plan with what is still due of an earlier one; what is new altogether is not behind."""
        due = {name: changed for name, changed in behind.items() if name not in self.added}
        both = {name: (*due.get(name, ()), *self.replaced.get(name, ())) for name in sorted(due.keys() | self.replaced)}
        return replace(self, replaced={name: tuple(dict.fromkeys(changed)) for name, changed in both.items()})

    def with_live(self, taken: Collection[str]) -> "Plan":
        """Return the plan with those of `taken` changed live instead of replaced."""
        live = {name: changed for name, changed in self.replaced.items() if name in taken}
        kept = {name: changed for name, changed in self.replaced.items() if name not in taken}
        return replace(self, live={**self.live, **live}, replaced=kept)

    def as_json(self) -> dict[str, object]:
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "live": {name: list(names) for name, names in self.live.items()},
            "replaced": {name: list(names) for name, names in self.replaced.items()},
            "refused": list(self.refused),
        }


def plan(old: TreeSpec, new: TreeSpec) -> Plan:
    """Compare two descriptions."""
    before, after = _parts(old), _parts(new)
    kept = {name for name in before.keys() & after.keys() if type(before[name]) is type(after[name])}
    changes = {name: changed for name in sorted(kept) if (changed := _changed(before[name], after[name]))}
    replaced = {name: changed for name, changed in changes.items() if _PROCESS & _heads(changed)}
    live = {name: changed for name, changed in changes.items() if name not in replaced}
    policies = tuple(name for name in ("backoff", "intensity") if getattr(old, name) != getattr(new, name))
    return Plan(
        added=tuple(sorted(after.keys() - kept)),
        removed=tuple(sorted(before.keys() - kept)),
        live=live | ({"tree": policies} if policies else {}),
        replaced=replaced,
        refused=tuple(f"{name}: needs a restart of the root" for name in _fixed(old, new)),
    )


def _fixed(old: TreeSpec, new: TreeSpec) -> Iterator[str]:
    """Yield what differs and cannot while the root runs."""
    yield from (name for name in _ROOT if getattr(old, name) != getattr(new, name))
    yield from (key for key in sorted(old.fixed.keys() | new.fixed.keys()) if old.fixed.get(key) != new.fixed.get(key))


def _parts(tree: TreeSpec) -> dict[str, ChildSpec | PoolSpec]:
    return {child.name: child for child in tree.children} | {pool.name: pool for pool in tree.pools}


def _changed(old: object, new: object) -> tuple[str, ...]:
    """Return the names of the fields that differ; a pool's template counts by its own fields."""
    if isinstance(old, PoolSpec) and isinstance(new, PoolSpec):
        return (*_differing(old, new, ("template",)), *_differing(old.template, new.template, ("name", "pool")))
    return _differing(old, new)


def _differing(old: object, new: object, skip: tuple[str, ...] = ()) -> tuple[str, ...]:
    names = (each.name for each in fields(old) if each.name not in skip)  # type: ignore[arg-type]
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in names)
    return tuple(path for name, before, after in pairs for path in _paths(name, before, after))


def _paths(name: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401 -- any JSON
    """Yield where two values differ: objects by their keys, everything else as a whole."""
    if name.partition(".")[0] == "settings" and isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _paths(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield name


def _heads(changed: Sequence[str]) -> set[str]:
    return {name.partition(".")[0] for name in changed}


class Reloader:
    """Read, compare, carry out; one reload at a time."""

    def __init__(self, tree: Tree, fleet: Fleet, read: Callable[[], TreeSpec] | None) -> None:
        self._tree = tree
        self._fleet = fleet
        self._read = read
        self._lock = trio.Lock()
        self._behind: dict[str, tuple[str, ...]] = {}  # what an earlier reload could not replace, and why it wanted to

    async def reload(self, dry_run: bool) -> Mapping[str, object]:
        """Return the plan, carried out unless `dry_run`; raises ControlError when the new description is no good."""
        async with self._lock:
            try:
                new = self._new()
                made, effective = plan(self._tree.spec, new), self._effective(new)
                parts = _parts(new)
                made = made.with_replaced({name: self._behind[name] for name in self._behind.keys() & parts.keys()})
                made = made.with_live([name for name in made.resettled if await self._takes(parts[name], dry_run=True)])
                if not dry_run:
                    await self._carry_out(made, effective)
            except ControlError as fault:
                self._tree.report(Name.RELOAD_REFUSED, fault=str(fault))
                raise
            return {"dry_run": dry_run, **made.as_json()}

    def _new(self) -> TreeSpec:
        if self._read is None:
            raise ControlError("this program cannot reload")
        try:
            return self._read()
        except Exception as fault:  # the reload boundary: a bad configuration must not end what runs
            raise ControlError(f"the new configuration is refused: {fault}", code=3) from fault

    def _effective(self, new: TreeSpec) -> TreeSpec:
        """Return the new description with what only the root's own restart can change left as it is."""
        old = self._tree.spec
        try:
            return replace(new, fixed=old.fixed, **{name: getattr(old, name) for name in _ROOT})
        except SpecError as fault:
            raise ControlError(f"needs a restart of the root: {fault}", code=3) from fault

    async def _carry_out(self, made: Plan, new: TreeSpec) -> None:
        if made.refused:
            self._tree.report(Name.RELOAD_REFUSED, fault="; ".join(made.refused))
        self._tree.spec = new
        if self._tree.zygote is not None:
            self._tree.zygote.renew()
        parts = _parts(new)
        for name in made.removed:
            self._remove(name)
        for name in (*made.live, *made.replaced):
            if name in parts:
                self._update(parts[name])
        for name in made.added:
            self._add(parts[name])
        self._tree.report(Name.TREE_RELOADED, plan=made.as_json())
        refusing = [
            name for name in made.live if name in parts and not await self._settled(parts[name], made.live[name])
        ]
        due = {**made.replaced, **{name: made.live[name] for name in refusing}}
        await self._replace_all({name: parts[name] for name in due}, due)

    def _remove(self, name: str) -> None:
        if name in self._fleet.pools:
            self._fleet.close(name)
        else:
            self._tree.retire(name, reason="removed by reload")

    def _add(self, part: ChildSpec | PoolSpec) -> None:
        self._tree.report(Name.CHILD_ADDED, part.name)
        if isinstance(part, PoolSpec):
            self._fleet.open(part)
        else:
            self._tree.add(part, reason="added by reload")

    def _update(self, part: ChildSpec | PoolSpec) -> None:
        if isinstance(part, PoolSpec):
            self._fleet.update(part)
        else:
            self._tree.slots[part.name].spec = part

    async def _replace_all(self, parts: Mapping[str, ChildSpec | PoolSpec], due: Mapping[str, tuple[str, ...]]) -> None:
        """Replace each; one that does not get ready keeps no other back, is told at the end, and is due again."""
        self._behind.clear()
        faults: list[str] = []
        for name, part in parts.items():
            try:
                await self._replace(part)
            except ControlError as fault:
                self._behind[name] = due[name]
                faults.append(str(fault))
        if faults:
            raise ControlError("; ".join(faults), code=3)

    async def _replace(self, part: ChildSpec | PoolSpec) -> None:
        if isinstance(part, PoolSpec):
            await self._fleet.roll(part.name, reason="reload")
        elif self._tree.slots[part.name].life.wanted:  # what somebody stopped stays stopped
            self._tree.apply(part.name, Kind.RENEW, reason="reload")

    async def _settled(self, part: ChildSpec | PoolSpec, changed: tuple[str, ...]) -> bool:
        return "settings" not in _heads(changed) or await self._takes(part, dry_run=False)

    async def _takes(self, part: ChildSpec | PoolSpec, *, dry_run: bool) -> bool:
        """Offer new settings to the processes of a child or pool; True if there are any and all of them take them."""
        template = part.template if isinstance(part, PoolSpec) else part
        running = [slot for slot in self._slots(part) if slot.life.has_process]
        took: list[bool] = []

        async def offer(slot: Slot) -> None:
            took.append(await self._took(slot, template.settings, dry_run=dry_run))

        async with trio.open_nursery() as nursery:
            for slot in running:
                nursery.start_soon(offer, slot)
        return bool(took) and all(took)

    async def _took(self, slot: Slot, settings: Any, *, dry_run: bool) -> bool:  # noqa: ANN401 -- any JSON
        if slot.life.state is not State.READY or "reload" not in slot.methods:
            return False
        params = {"settings": settings, "dry_run": dry_run}
        try:
            return await self._tree.ask(slot, "reload", params, timeout_s=_LIVE_S) is True
        except ControlError:
            return False

    def _slots(self, part: ChildSpec | PoolSpec) -> list[Slot]:
        if isinstance(part, PoolSpec):
            return self._fleet.members(self._fleet.pools[part.name]) if part.name in self._fleet.pools else []
        return [self._tree.slots[part.name]] if part.name in self._tree.slots else []
