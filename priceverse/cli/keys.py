"""`priceverse keys`: API keys and users in the secrets file. A running API notices within a second."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from priceverse.cli.settings import config_option, load_or_exit
from priceverse.config import credentials
from priceverse.config.credentials import ApiKey, Credentials, CredentialsError, Role, User

_ROLES = click.Choice([role.value for role in Role])


class _Failed(click.ClickException):
    exit_code = 73  # sysexits EX_CANTCREAT


@click.group()
@click.option("--file", "path", type=click.Path(path_type=Path), help="The secrets file; default: `auth.file`.")
@config_option
@click.pass_context
def command(context: click.Context, path: Path | None, config: Path | None) -> None:
    """Add, list and revoke API keys and users."""
    context.obj = path or load_or_exit(config).settings.auth.file
    if context.obj is None:
        raise click.UsageError("where is the secrets file? Set `auth.file` in the configuration, or give --file")


def _grants(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what somebody new is granted."""
    for option in (
        click.option("--role", "roles", type=_ROLES, multiple=True, help="What it opens; may be repeated."),
        click.option("--limit", "limits", multiple=True, metavar="METHOD=N", help="Calls of a method in 60 s."),
        click.argument("name"),
        click.pass_obj,
    ):
        command = option(command)
    return command


@command.command()
@_grants
def user(path: Path, name: str, roles: tuple[str, ...], limits: tuple[str, ...]) -> None:
    """Add a user, or give one another password, which is read from stdin."""
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise click.UsageError("the password is read from stdin, and there is none")
    granted, own = tuple(Role(role) for role in roles), dict(_limit(each) for each in limits)
    _change(path, lambda known: _with_user(known, User(name, granted, credentials.hashed(password), own)))
    click.echo(f"user {name} may log in")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_grants
def add(path: Path, name: str, roles: tuple[str, ...], limits: tuple[str, ...], *, as_json: bool) -> None:
    """Add a key, and print it this one time."""
    granted, own = tuple(Role(role) for role in roles), dict(_limit(each) for each in limits)
    key, text = credentials.new_key(name, granted, datetime.now(UTC).isoformat(timespec="seconds"), own)
    _change(path, lambda known: replace(known, keys=(*known.keys, key)))
    click.echo(json.dumps({"id": key.id, "name": name, "key": text}) if as_json else text)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(path: Path, *, as_json: bool) -> None:
    """List keys and users; the keys themselves nobody can tell any more."""
    try:
        known = credentials.load(path) if path.exists() else credentials.empty()
    except CredentialsError as fault:
        raise _Failed(str(fault)) from None
    rows = [_row("key", each.id, each) for each in known.keys] + [_row("user", each.name, each) for each in known.users]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        limits = " ".join(f"{method}={n}" for method, n in row["limits"].items())
        click.echo(f"{row['kind']:4}  {row['id']:12}  {row['name']:20}  {','.join(row['roles']) or '-'}  {limits}")


@command.command()
@click.argument("id_or_user")
@click.pass_obj
def revoke(path: Path, id_or_user: str) -> None:
    """Take a key or a user away; its tokens end with it."""

    def without(known: Credentials) -> Credentials:
        keys = tuple(key for key in known.keys if key.id != id_or_user)
        users = tuple(user for user in known.users if user.name != id_or_user)
        if (keys, users) == (known.keys, known.users):
            raise _Failed(f"no key and no user {id_or_user!r}")
        return replace(known, keys=keys, users=users)

    _change(path, without)
    click.echo(f"revoked {id_or_user}")


def _change(path: Path, edit: credentials.Edit) -> None:
    try:
        credentials.change(path, edit)
    except (OSError, CredentialsError) as fault:
        raise _Failed(str(fault)) from None


def _with_user(known: Credentials, user: User) -> Credentials:
    others = tuple(each for each in known.users if each.name != user.name)
    return replace(known, users=(*others, user))


def _limit(text: str) -> tuple[str, int]:
    method, _, number = text.partition("=")
    if not method or not number.isdigit() or int(number) < 1:
        raise click.BadParameter(f"{text!r} is not METHOD=N", param_hint="--limit")
    return method, int(number)


def _row(kind: str, key: str, each: ApiKey | User) -> dict[str, Any]:
    return {"kind": kind, "id": key, "name": each.name, "roles": [*each.roles], "limits": each.limits}
