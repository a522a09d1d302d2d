"""A root process of its own for the tests: a tree on a control path, events on stdout as JSON lines."""

import json
import sys
from pathlib import Path

import trio

from supervisor.backoff import Backoff
from supervisor.errors import SupervisorError
from supervisor.events import Event
from supervisor.runtime import run
from supervisor.spec import ChildSpec, ListenerSpec, PoolSpec, TreeSpec, ZygoteSpec

CHILD = (sys.executable, str(Path(__file__).with_name("child.py")))


def tree(path: Path, config: Path) -> TreeSpec:
    """Read the tree from `config`: {"children": {name: fields}, "pools": {name: size}, "listeners": {name: port},
    "zygote": [module]}."""
    wanted = json.loads(config.read_text())
    listeners = tuple(ListenerSpec(name=name, port=port) for name, port in wanted.get("listeners", {}).items())
    names = tuple(listener.name for listener in listeners)
    return TreeSpec(
        children=tuple(
            ChildSpec(**{"name": name, "argv": CHILD} | given | _argv(given))
            for name, given in wanted["children"].items()
        ),
        pools=tuple(
            PoolSpec(name=name, template=ChildSpec(name=name, argv=CHILD, listeners=names), size=size, maximum=8)
            for name, size in wanted.get("pools", {}).items()
        ),
        listeners=listeners,
        control=path,
        backoff=Backoff(initial_s=0.05, max_s=0.2),
        zygote=ZygoteSpec(modules=tuple(wanted["zygote"])) if "zygote" in wanted else None,
    )


def _argv(given: dict) -> dict:
    return {"argv": tuple(given["argv"])} if "argv" in given else {}


def show(event: Event) -> None:
    sys.stdout.write(json.dumps(event.as_json(), default=str) + "\n")
    sys.stdout.flush()


def main() -> None:
    control, config = Path(sys.argv[1]), Path(sys.argv[2])

    async def serve() -> int:
        return await run(tree(control, config), on_event=show, reload=lambda: tree(control, config), program="root 1")

    try:
        sys.exit(trio.run(serve))
    except SupervisorError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
