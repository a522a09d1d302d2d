"""The control command line, derived from `commands`: `group` mounts it under any click program.

The only part of the supervisor that imports click, and rich when a person is looking. The rules: `--json` prints the
reply as it came, and the exit code says whether all is as wanted (0), a wanted child is down (3), nobody answers (4).
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from supervisor.commands import COMMANDS, VERSION, Arg, Command
from supervisor.ctl.client import Client, Refused, Unreachable

DOWN = 3
LOOK_S, CHANGE_S = 10.0, 600.0  # how long a reply may take, beyond the command's own timeout
RETRY_S = 0.1
SOCKET_NAME = "control.sock"


@dataclass(slots=True)
class _Choice:
    """Where the daemon is, and how to speak: from the group's options, a command's own win."""

    find: Callable[[], Path]
    as_json: bool = False

    def override(self, socket: Path | None, state: Path | None, as_json: bool) -> None:
        given = socket or (state / SOCKET_NAME if state is not None else None)
        if given is not None:
            self.find = lambda: given
        self.as_json = self.as_json or as_json


def group(find_socket: Callable[[], Path]) -> click.Group:
    """Return the group `ctl`; `find_socket` is called when neither --socket nor --state is given."""

    @click.pass_context
    def ctl(context: click.Context, /, socket: Path | None, state: Path | None, as_json: bool) -> None:
        context.obj = _Choice(find_socket)
        context.obj.override(socket, state, as_json)

    made = click.Group("ctl", callback=ctl, params=_everywhere(), help="Look at and steer the running daemon.")
    for command in COMMANDS:
        _mount(made, command)
    return made


def _everywhere(*, hidden: bool = False) -> list[click.Parameter]:
    """Return the options that the group and every command take, so that they may stand anywhere on the line."""
    path = click.Path(path_type=Path, readable=False)  # whether it may be opened is for the daemon to say
    where = f"The directory that holds its {SOCKET_NAME}."
    return [
        click.Option(["--socket"], type=path, help="The daemon's control socket.", hidden=hidden),
        click.Option(["--state"], type=path, help=where, hidden=hidden),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the reply as JSON."),
    ]


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
    @click.pass_context
    def callback(context: click.Context, /, **values: Any) -> None:  # noqa: ANN401 -- as declared
        choice = context.find_object(_Choice)
        assert choice is not None
        choice.override(values.pop("socket"), values.pop("state"), values.pop("as_json"))
        given = {key.rstrip("_"): value for key, value in values.items() if value is not None}
        try:
            context.exit(_run(context, choice, command, given))
        except Refused as refused:
            if isinstance(refused, Unreachable) and not refused.is_alive and _is_end(command, given):
                context.exit(0)
            click.echo(f"{context.command_path}: {refused}", err=True)
            context.exit(refused.code)
        except KeyboardInterrupt:
            context.exit(130)

    params = [*map(_param, command.args), *_everywhere(hidden=True)]
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


def _run(context: click.Context, choice: _Choice, command: Command, given: Mapping[str, Any]) -> int:
    if command.name == "completion":
        return _complete(context, choice, given["shell"])
    path = choice.find()
    if command.name == "top" and not choice.as_json:
        from supervisor.ctl import top  # noqa: PLC0415 -- rich costs 100 ms, and only people need it

        top.run(path)
        return 0
    asked = "status" if command.local else command.name
    with _connected(path, command, given) as client:
        if command.streams:
            for event in client.stream(asked, given):
                _print(command.name, event, choice)
            return 0
        reply = client.call(asked, given)
    _print(command.name, reply, choice)
    return DOWN if command.name in ("status", "tree") and not reply["as_wanted"] else 0


def _connected(path: Path, command: Command, given: Mapping[str, Any]) -> Client:
    """Connect; `wait` also waits for the daemon to come up."""
    patience_s = CHANGE_S if command.changes else LOOK_S
    waits = command.name == "wait" and not _is_end(command, given)
    deadline = time.monotonic() + (given["timeout"] if waits else 0.0)
    while True:
        try:
            return Client(path, patience_s=patience_s)
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)


def _is_end(command: Command, given: Mapping[str, Any]) -> bool:
    """Return whether it is what was wanted that nobody answers."""
    return command.name == "wait" and given["for"] == "stopped"


def _print(name: str, reply: Mapping[str, Any], choice: _Choice) -> None:
    if choice.as_json:
        click.echo(json.dumps(reply, ensure_ascii=False))
        return
    from supervisor.ctl import screen  # noqa: PLC0415 -- as above

    screen.show(name, reply)


def _complete(context: click.Context, choice: _Choice, shell: str) -> int:
    """Print the script with which the whole program completes its words in a shell."""
    root = context.find_root()
    program = root.info_name or Path(sys.argv[0]).name
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    made = get_completion_class(shell)
    assert made is not None
    script = made(root.command, {}, program, variable).source()
    click.echo(json.dumps({"version": VERSION, "shell": shell, "script": script}) if choice.as_json else script)
    return 0
