"""Where configuration comes from: defaults < file < environment's file < secrets beside it < environment < credentials.

Every value remembers its origin, so that a refusal says which file or variable to mend and `config show` can tell.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from priceverse.config.settings import Settings

DEFAULT_FILE = Path("/etc/priceverse/priceverse.toml")
PREFIX = "PRICEVERSE_"
FOR_CLIENTS = "PRICEVERSE_URL"
"""The one variable that is no key: the server that `priceverse prices` and the like ask."""

CREDENTIALS = {"database_password": ("database", "password"), "redis_password": ("redis", "password")}
"""Names of systemd credentials (`LoadCredential=`) and the keys that they set."""

Tree = dict[str, Any]


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line per fault: origin, key, what came, what is allowed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and the origin of every value that is not a default (`section.key` → origin)."""

    settings: Settings
    origins: Mapping[str, str]


class _Names(Settings, BaseSettings):  # type: ignore[misc] # both declare model_config; pydantic merges them
    """The settings as pydantic-settings wants them, for reading environment variables by the model's names."""


class _Environment(EnvSettingsSource):
    """Environment variables; lists may be JSON or commas."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:  # noqa: ANN401 - overrides
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return [part.strip() for part in value.split(",") if part.strip()]


def load(
    file: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: Tree | None = None
) -> Loaded:
    """Read and validate the configuration.

    `file` must exist when given; without it `/etc/priceverse/priceverse.toml` is read if there. `overrides` (a nested
    table, from command-line flags) win over everything. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    layers: list[tuple[str, Tree]] = [("default", Settings().model_dump(mode="json"))]
    layers += _files(file)
    layers.append(("credential", _credentials((file or DEFAULT_FILE).with_name("credentials"))))
    layers.append(("environment", _environment(environ)))
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        layers.append(("credential", _credentials(Path(folder))))
    layers.append(("command line", overrides or {}))
    tree: Tree = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        _merge(tree, layer, origin, origins, ())
    _read_secret_files(tree)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, origins))) from None
    return Loaded(settings, {key: origin for key, origin in origins.items() if origin != "default"})


def _files(file: Path | None) -> list[tuple[str, Tree]]:
    if file is None and not DEFAULT_FILE.exists():
        return []
    main = file or DEFAULT_FILE
    table = _toml(main)
    layers = [(str(main), table)]
    environment = table.get("app", {}).get("environment") if isinstance(table.get("app"), dict) else None
    extra = main.with_name(f"{environment}.toml")
    if environment and extra != main and extra.exists():
        layers.append((str(extra), _toml(extra)))
    return layers


def _toml(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _environment(environ: Mapping[str, str]) -> Tree:
    ours = {k: v for k, v in environ.items() if k.upper().startswith(PREFIX) and k.upper() != FOR_CLIENTS}
    for name in ours:
        section = name[len(PREFIX) :].lower().split("__")[0]
        if section not in Settings.model_fields:
            raise ConfigError(f"environment: {name}: unknown section {section!r}, allowed: {_names()}")
    source = _Environment(_Names, env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)
    source.env_vars = {k.lower(): v for k, v in ours.items()}
    return source()


def _names() -> str:
    return ", ".join(Settings.model_fields)


def _credentials(folder: Path) -> Tree:
    """Read what whoever asks may read: systemd gives them to the daemon, an operator's commands find them in `/etc`."""
    tree: Tree = {}
    for name, (section, key) in CREDENTIALS.items():
        path = folder / name
        if os.access(path, os.R_OK):
            tree.setdefault(section, {})[key] = path.read_text(encoding="utf-8").strip()
    return tree


def _merge(into: Tree, layer: Tree, origin: str, origins: dict[str, str], path: tuple[str, ...]) -> None:
    for key, value in layer.items():
        here = (*path, key)
        if isinstance(value, dict):
            below = into.get(key)
            into[key] = dict(below) if isinstance(below, dict) else {}
            _merge(into[key], value, origin, origins, here)
        else:
            into[key] = value
            origins[".".join(here)] = origin


def _read_secret_files(tree: Tree) -> None:
    for section, key in (*CREDENTIALS.values(), ("database", "read_password"), ("redis", "sentinel_password")):
        table, file = tree.get(section), f"{key}_file"
        if not isinstance(table, dict) or not table.get(file) or table.get(key):
            continue
        try:
            table[key] = Path(table[file]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{section}.{file}: {table[file]}: {error.strerror}") from None


def _explain(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    lines = []
    faults = [(".".join(str(part) for part in fault["loc"] if part != "[key]"), fault) for fault in error.errors()]
    for key, fault in faults:
        if any(other.startswith(f"{key}.") for other, _ in faults):
            continue  # the parent only repeats what its member already said
        origin = _origin(key, origins)
        if fault["type"] == "extra_forbidden":
            lines.append(f"{origin}: {key}: unknown key{_instead_of(key)}")
            continue
        is_private = isinstance(fault["input"], dict) or "password" in key or "secret" in key
        came = "" if is_private else f", got {str(fault['input'])[:60]!r}"
        lines.append(f"{origin}: {key or 'configuration'}: {fault['msg'].removeprefix('Value error, ')}{came}")
    return lines


def _instead_of(key: str) -> str:
    """Return which keys there are in the table of an unknown one: the one that is like it, else all."""
    *path, name = key.split(".")
    table: Any = Settings
    for part in path:
        table = table.model_fields[part].annotation if hasattr(table, "model_fields") else get_args(table)[-1]
    allowed = sorted(getattr(table, "model_fields", ()))
    like = get_close_matches(name, allowed, 1)
    return f"; is {like[0]} meant?" if like else f"; allowed: {', '.join(allowed)}"


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Return the layer that set `key`, a table above it or a key below it; whoever changed a default is to blame."""
    related = [o for k, o in origins.items() if f"{key}.".startswith(f"{k}.") or k.startswith(f"{key}.")]
    return next((origin for origin in reversed(related) if origin != "default"), "configuration")
