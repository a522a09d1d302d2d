"""Every Redis key is declared in `bus/keys.py`, with type, time to live and content, and spelt nowhere else."""

import ast
import inspect
import re
from pathlib import Path

from priceverse.bus import keys

PACKAGE = Path(__file__).parents[2] / "priceverse"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CATALOGUE = {row[1]: row.groups()[1:] for row in ROW.finditer(keys.__doc__ or "")}
PREFIXES = {pattern.partition(":")[0] + ":" for pattern in CATALOGUE}
NOT_KEYS = {"api/auth.py"}
"""Where a word of ours with a colon names something else: a caller, `key:<id>`."""


def example(function: object) -> str:
    names = inspect.signature(function).parameters
    return function(*(f"<{name}>" for name in names))


def test_each_function_makes_a_key_of_the_catalogue_and_each_row_has_one() -> None:
    made = {example(function) for name, function in inspect.getmembers(keys, inspect.isfunction)}
    made |= {keys.RATE, keys.LOSSES}
    assert {key.split("<")[0].rstrip(":") for key in made} == {key.split("<")[0].rstrip(":") for key in CATALOGUE}


def test_each_row_says_type_time_to_live_and_content() -> None:
    for pattern, (kind, ttl, content) in CATALOGUE.items():
        assert kind.split(",")[0] in {"string", "hash", "stream", "set", "sorted set", "list"}, pattern
        assert re.search(r"\d|none|trimmed|window|`\w+`", ttl), f"{pattern}: {ttl}"
        assert len(content) > 8, pattern


def test_no_other_module_spells_a_key() -> None:
    spelt = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {node.value!r}"
        for file in PACKAGE.rglob("*.py")
        if file != Path(keys.__file__) and str(file.relative_to(PACKAGE)) not in NOT_KEYS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_key(node.value)
    ]
    assert spelt == []


def is_key(text: str) -> bool:
    """A text that begins like a key and goes on without a blank: prose has one after a colon."""
    return any(text.startswith(prefix) and not re.match(r"\s", text[len(prefix) :] + "x") for prefix in PREFIXES)
