"""The control commands, declared once: the server's dispatch, the command line, its help and the README derive from it.

The rule: what is not in this table cannot be asked for, and only those marked `changes` may change anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervisor.errors import ControlError

VERSION = 1  # of every reply's shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """One argument. A flag is a bool; `kind` is str, int, float or bool; without `default` it is required."""

    name: str
    help: str
    kind: type = str
    default: Any = None
    required: bool = False
    option: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`name` may have two words.

    `streams`: many replies; `waits`: ends when the client hangs up; `local`: never sent.
    """

    name: str
    summary: str
    args: tuple[Arg, ...] = ()
    changes: bool = False
    streams: bool = False
    waits: bool = False
    local: bool = False


_TARGET = Arg(name="target", help="a child, a pool or all", required=True)
_CHILD = Arg(name="child", help="a child", required=True)
_POOL = Arg(name="pool", help="a pool", required=True)
_TIMEOUT = Arg(name="timeout", help="seconds to wait", kind=float, default=60.0, option=True)
_ROLLING = Arg(name="rolling", help="one member at a time, with a spare beside", kind=bool, default=False, option=True)
_DRY_RUN = Arg(name="dry_run", help="only say what would change", kind=bool, default=False, option=True)
_FOLLOW = Arg(name="follow", help="go on with what happens from now", kind=bool, default=False, option=True)
_FOR = Arg(name="for", help="what to wait for", default="ready", option=True, choices=("ready", "healthy", "stopped"))

COMMANDS: tuple[Command, ...] = (
    Command(name="status", summary="Show every child and pool."),
    Command(name="tree", summary="Show the children by start order, pool and group.", local=True),
    Command(name="top", summary="Watch the children, pools and events live.", local=True),
    Command(name="inspect", summary="Show all that is known of one child.", args=(_CHILD,)),
    Command(name="start", summary="Start what is stopped.", args=(_TARGET, _TIMEOUT), changes=True),
    Command(name="stop", summary="Stop, and keep stopped.", args=(_TARGET, _TIMEOUT), changes=True),
    Command(name="restart", summary="Replace by fresh processes.", args=(_TARGET, _ROLLING, _TIMEOUT), changes=True),
    Command(
        name="scale",
        summary="Set the size of a pool, and hold it there.",
        args=(_POOL, Arg(name="size", help="members; 0: autoscaling decides again", kind=int, required=True)),
        changes=True,
    ),
    Command(
        name="autoscale explain",
        summary="Say why a pool was or was not scaled.",
        args=(Arg(name="pool", help="a pool, or all of them"),),
    ),
    Command(name="reload", summary="Read the configuration again.", args=(_DRY_RUN,), changes=True),
    Command(
        name="drain",
        summary="Let finish what is begun, then stop.",
        args=(Arg(name="target", help="a child, a pool or all", default="all"), _TIMEOUT),
        changes=True,
    ),
    Command(
        name="reset-failed",
        summary="Forget failures and try the fatal ones again.",
        args=(Arg(name="target", help="a child, a pool or all", default="all"),),
        changes=True,
    ),
    Command(name="stack", summary="Show the live stacks of a running child.", args=(_CHILD,)),
    Command(
        name="log-level",
        summary="Set the log level of a child.",
        args=(
            Arg(name="target", help="a child, a pool or all", required=True),
            Arg(name="level", help="the level", required=True, choices=("debug", "info", "warning", "error")),
        ),
        changes=True,
    ),
    Command(name="events", summary="Show the latest events.", args=(_FOLLOW,), streams=True, waits=True),
    Command(name="streams", summary="Show the lag and pending entries that children report."),
    Command(name="breakers", summary="Show the circuit breakers of children and supervisor."),
    Command(name="wait", summary="Wait until all is as wanted.", args=(_FOR, _TIMEOUT), waits=True),
    Command(name="shutdown", summary="Stop everything and exit.", changes=True),
    Command(name="version", summary="Show the versions of the program and of this protocol."),
    Command(
        name="completion",
        summary="Print the completion script of a shell.",
        args=(Arg(name="shell", help="the shell", required=True, choices=("bash", "zsh", "fish")),),
        local=True,
    ),
)

BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}


def checked(command: Command, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments with defaults filled in; raises ControlError on an unknown, missing or wrong one."""
    known = {arg.name: arg for arg in command.args}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ControlError(f"{command.name}: unknown argument {unknown[0]}, allowed: {', '.join(known) or 'none'}")
    return {name: _checked_value(command, arg, given.get(name)) for name, arg in known.items()}


def _checked_value(command: Command, arg: Arg, value: object) -> Any:  # noqa: ANN401 -- as declared by `kind`
    if value is None:
        if arg.required:
            raise ControlError(f"{command.name}: {arg.name} is missing ({arg.help})")
        return arg.default
    fits = isinstance(value, arg.kind) or (arg.kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and arg.kind is not bool):
        raise ControlError(f"{command.name}: {arg.name} must be {arg.kind.__name__}, got {value!r}")
    if arg.choices and value not in arg.choices:
        raise ControlError(f"{command.name}: {arg.name} must be one of {', '.join(arg.choices)}, got {value!r}")
    return value


def usage(command: Command) -> str:
    """Return how a command is typed: `restart TARGET [--rolling] [--timeout SECONDS]` and the like."""
    return " ".join([command.name, *(_usage_of(arg) for arg in command.args)])


def _usage_of(arg: Arg) -> str:
    if not arg.option:
        word = _choices(arg) or arg.name.upper()
        return word if arg.required else f"[{word}]"
    flag = f"--{arg.name.replace('_', '-')}"
    if arg.kind is bool:
        return f"[{flag}]"
    return f"[{flag} {_choices(arg) or 'SECONDS'}]"


def _choices(arg: Arg) -> str:
    return f"{{{','.join(arg.choices)}}}" if arg.choices else ""
