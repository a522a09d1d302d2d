"""The configuration explained in its own words: the example file and the README's table come from the declarations."""

import json
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from priceverse.config.settings import Settings


def keys(value: BaseModel | None = None, prefix: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Yield every key with its declaration and default: the plain keys of a table first, then its tables."""
    value = value or Settings()
    members = [(f"{prefix}{name}", field, getattr(value, name)) for name, field in type(value).model_fields.items()]
    yield from (member for member in members if not isinstance(member[2], BaseModel))
    for name, _, table in members:
        if isinstance(table, BaseModel):
            yield from keys(table, f"{name}.")


def example_toml() -> str:
    """Return etc/priceverse.toml: every key, commented out at its default, under what it means."""
    lines = [
        "# Priceverse. Every key stands here, commented out, at its default.",
        "# Made by `priceverse config example`; a test compares the two.",
    ]
    section = ""
    for key, field, default in keys():
        table, _, name = key.rpartition(".")
        if not table:
            continue
        if table != section:
            lines += ["", f"[{table}]"]
            section = table
        lines += [f"# {field.description}{_bounds(field)}", f"#{name} = {_toml(default)}"]
    return "\n".join([*lines, "", *_pairs(), ""])


def markdown_table() -> str:
    """Return the README's table of keys."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key, field, default in keys():
        if "." in key:
            rows.append(f"| `{key}` | `{_toml(default)}` | {field.description}{_bounds(field)} |")
    return "\n".join(rows)


def _pairs() -> list[str]:
    lines = ["# Pairs: a collected one names each venue's symbol, a derived one its source. New tables add pairs."]
    for name, pair in Settings().pairs.items():
        lines += ["", f"#[pairs.{name}]"]
        if pair.derived_from:
            lines.append(f"#derived_from = {_toml(pair.derived_from)}")
        if not pair.listed:
            lines.append("#listed = false")
        if pair.symbols:
            symbols = ", ".join(f"{venue} = {_toml(s.symbol)}" for venue, s in pair.symbols.items())
            lines.append(f"#symbols = {{ {symbols} }}")
    return lines


def _bounds(field: FieldInfo) -> str:
    low = next((f"≥ {m.ge}" for m in field.metadata if isinstance(m, Ge)), None) or next(
        (f"> {m.gt}" for m in field.metadata if isinstance(m, Gt)), None
    )
    high = next((f"≤ {m.le}" for m in field.metadata if isinstance(m, Le)), None) or next(
        (f"< {m.lt}" for m in field.metadata if isinstance(m, Lt)), None
    )
    bounds = ", ".join(bound for bound in (low, high) if bound)
    return f" ({bounds})" if bounds else ""


def _toml(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
        case tuple() | list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)
