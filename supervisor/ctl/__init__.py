"""The control command line, derived from `commands`: `group` mounts it under any click program.

The only part of the supervisor that imports click, and rich when a person is looking. The rules: `--json` prints the
reply as it came, and the exit code says whether all is as wanted (0), a wanted child is down (3), nobody answers (4).
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from supervisor.commands import COMMANDS, Arg, Command
from supervisor.ctl.client import Client, Refused

DOWN = 3
SOCKET_NAME = "control.sock"


@dataclass(slots=True)
class _Choice:
    """Where the daemon is: found only when a command needs it."""

    find: Callable[[], Path]


def group(find_socket: Callable[[], Path]) -> click.Group:
    """Return the group `ctl`; `find_socket` is called when neither --socket nor --state is given."""

    @click.group("ctl", help="Look at and steer the running daemon.")
    @click.option("--socket", type=click.Path(path_type=Path), help="The daemon's control socket.")
    @click.option("--state", type=click.Path(path_type=Path), help=f"The directory that holds its {SOCKET_NAME}.")
    @click.pass_context
    def ctl(context: click.Context, socket: Path | None, state: Path | None) -> None:
        given = socket or (state / SOCKET_NAME if state is not None else None)
        context.obj = _Choice((lambda: given) if given is not None else find_socket)

    for command in COMMANDS:
        _mount(ctl, command)
    return ctl


def _mount(ctl: click.Group, command: Command) -> None:
    first, _, second = command.name.partition(" ")
    if not second:
        ctl.add_command(_built(command, first))
        return
    if first not in ctl.commands:
        ctl.add_command(click.Group(first, help=command.summary))
    inner = ctl.commands[first]
    assert isinstance(inner, click.Group)
    inner.add_command(_built(command, second))


def _built(command: Command, name: str) -> click.Command:
    params: list[click.Parameter] = [_param(arg) for arg in command.args]
    if command.name not in ("top", "completion"):
        params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print the reply as JSON."))

    @click.pass_context
    def callback(context: click.Context, /, as_json: bool = False, **values: Any) -> None:  # noqa: ANN401 -- as declared
        try:
            context.exit(_run(context, command, {key.rstrip("_"): value for key, value in values.items()}, as_json))
        except Refused as refused:
            click.echo(f"{context.command_path}: {refused}", err=True)
            context.exit(refused.code)
        except KeyboardInterrupt:
            context.exit(130)

    return click.Command(name, params=params, callback=callback, help=command.summary)


def _param(arg: Arg) -> click.Parameter:
    kind: Any = click.Choice(arg.choices) if arg.choices else arg.kind
    safe = f"{arg.name}_" if arg.name == "for" else arg.name  # click passes it as a Python name
    if not arg.option:
        given = {} if arg.required else {"default": arg.default}
        return click.Argument([safe], required=arg.required, type=kind, metavar=arg.name.upper(), **given)
    flags = [f"--{arg.name.replace('_', '-')}", safe, *(["-f"] if arg.name == "follow" else [])]
    if arg.kind is bool:
        return click.Option(flags, is_flag=True, default=arg.default, help=arg.help)
    return click.Option(flags, type=kind, default=arg.default, show_default=True, help=arg.help)


def _run(context: click.Context, command: Command, values: Mapping[str, Any], as_json: bool) -> int:
    if command.name == "completion":
        return _complete(context, values["shell"])
    path = context.find_object(_Choice).find()  # type: ignore[union-attr]
    if command.name == "top":
        from supervisor.ctl import top  # noqa: PLC0415 -- rich costs 100 ms, and only people need it

        top.run(path)
        return 0
    asked = "status" if command.name == "tree" else command.name
    given = {name: value for name, value in values.items() if value is not None}
    with Client(path) as client:
        if command.streams:
            for event in client.stream(asked, given):
                _print(command.name, event, as_json)
            return 0
        reply = client.call(asked, given)
        _print(command.name, reply, as_json)
    return DOWN if command.name in ("status", "tree") and not reply.get("as_wanted", True) else 0


def _print(name: str, reply: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(reply, ensure_ascii=False))
        return
    from supervisor.ctl import screen  # noqa: PLC0415 -- as above

    screen.show(name, reply)


def _complete(context: click.Context, shell: str) -> int:
    """Print the script with which the whole program completes its words in a shell."""
    root = context.find_root()
    program = root.info_name or Path(sys.argv[0]).name
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root.command, {}, program, variable).source())
    return 0
