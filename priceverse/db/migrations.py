"""The numbered files of sql/ and which of them a database still needs. Pure but for reading the files.

The rule: a file that was applied somewhere never changes again; what it said is remembered by its SHA-256.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"(\d{4}_[a-z0-9_]+)\.up\.sql")
_FOLDER = "sql"
_ROLES = "roles.sql"


class SchemaOutdated(Exception):  # noqa: N818 - reads as the state it reports
    """The database's schema is not the one that this program works with; the text says what to do."""


class SchemaChanged(SchemaOutdated):
    """The database has something else applied than the files say: nothing is touched."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: `0001_price_history`, the SQL that takes it and the SQL that takes it back."""

    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """A step as a database remembers it."""

    name: str
    checksum: str


def load(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """Return all migrations in order."""
    home = folder or files("priceverse") / _FOLDER
    names = sorted(match[1] for file in home.iterdir() if (match := _NAME.fullmatch(file.name)))
    return tuple(Migration(name, *(_text(home / f"{name}.{way}.sql") for way in ("up", "down"))) for name in names)


def roles() -> str:
    """Return the SQL that makes roles and grants; it may be run any number of times."""
    return _text(files("priceverse") / _FOLDER / _ROLES)


def pending(known: Sequence[Migration], applied: Iterable[Applied]) -> tuple[Migration, ...]:
    """Return what is still to be applied, in order. Raises SchemaChanged."""
    by_name = {each.name: each for each in known}
    done = set()
    for each in applied:
        if each.name not in by_name:
            raise SchemaChanged(f"the database has migration {each.name}, which this program lacks: use the newer one")
        if each.checksum != by_name[each.name].checksum:
            raise SchemaChanged(
                f"sql/{each.name}.up.sql was changed after it was applied: restore it and put the change in a new file"
            )
        done.add(each.name)
    return tuple(each for each in known if each.name not in done)


def missing_pairs(wanted: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    """Return the pairs that the database's enum lacks, in order."""
    has = set(there)
    return tuple(pair for pair in wanted if pair not in has)


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")
