"""A root of ours over the benches' child: `python root.py CONTROL EARS CHILDREN PORT`.

With a PORT the children are a pool that serves it. Every event goes to EARS, stamped with the monotonic clock.
"""

import json
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import trio

from supervisor.events import Event
from supervisor.runtime import run
from supervisor.spec import ChildSpec, ListenerSpec, PoolSpec, TreeSpec

CHILD = Path(__file__).with_name("child.py")


def tree(control: Path, ears: str, size: int, port: int) -> TreeSpec:
    def child(name: str, *more: str, **fields: object) -> ChildSpec:
        return ChildSpec(name=name, argv=(sys.executable, str(CHILD), ears, name, *more), **fields)

    if not port:
        return TreeSpec(children=tuple(child(f"c{number}") for number in range(size)), control=control)
    pool = PoolSpec(name="web", template=child("web", "listener", listeners=("web",)), size=size)
    return TreeSpec(pools=(pool,), listeners=(ListenerSpec(name="web", port=port),), control=control)


def main() -> int:
    control, ears, size, port = sys.argv[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:

        def tell(event: Event) -> None:
            with suppress(OSError):  # nobody may listen any more
                word = event.as_json() | {"at_s": time.monotonic()}
                mouth.sendto(json.dumps(word, default=str).encode()[:60_000], ears)

        return trio.run(lambda: run(tree(Path(control), ears, int(size), int(port)), on_event=tell))


if __name__ == "__main__":
    sys.exit(main())
