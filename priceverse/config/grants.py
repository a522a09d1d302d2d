"""What each role is given of the settings: the keys that it works with.

The root has the whole tree and hands a child its part (`give`), which the child reads back (`take`): a secret is known
to those who use it, and a change of any other key leaves the child alone. The rule: a key that is not granted cannot be
read, not even as its default; who needs one more adds it here.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from priceverse.config.settings import Exchanges, Settings
from priceverse.model.exchange import Exchange

Tree = dict[str, Any]

EVERY = ("app.name", "logging")
_OF_ALL_VENUES = tuple(
    f"exchanges.{key}" for key in Exchanges.model_fields if key != "enabled" and key not in set(Exchange)
)
GRANTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "simulator": ("simulator",),
    "rates": ("redis", "database", "cbr"),
    "housekeeper": ("alerts", "redis", "aggregation", "api.max_price_age_ms", "supervisor.control_socket",
                    *(f"cbr.{key}" for key in ("url", "timeout_s", "tls_ca", "max_bytes", "max_age_days")),
                    "database", "retention", "backfill", "pairs", "exchanges"),
    "collector": ("redis", "pairs", "aggregation.stream_keep_s", *_OF_ALL_VENUES),
    "aggregator": ("redis", "database", "pairs", "aggregation", "cbr.max_age_days",
                   *(f"exchanges.{exchange}.quote" for exchange in Exchange)),
    "api": ("redis", "database", "pairs", "api", "auth", "health", "cbr.max_age_days", "exchanges.enabled",
            "supervisor.control_socket"),
})  # fmt: skip
"""Of every role beside `EVERY`; a collector gets the table of its own venue too."""


def give(settings: Settings, role: str, *more: str) -> Tree:
    """Return the part of a role, and `more` of its keys, as JSON values with the secrets in clear: for a pipe only."""
    whole: Tree = settings.for_child()
    part: Tree = {}
    for key in (*EVERY, *GRANTS[role], *more):
        _copy(whole, part, key.split("."))
    return part


def _copy(whole: Tree, part: Tree, path: list[str]) -> None:
    *sections, last = path
    for section in sections:
        whole, part = whole[section], part.setdefault(section, {})
    part[last] = whole[last]


def take(part: Tree, role: str) -> Settings:
    """Return the settings of a child; reading what it was not given raises an AttributeError that names it.

    In a section that is granted as a whole a missing key has its default: the root may be older than the child.
    """
    settings = Settings.model_validate(part)
    _forget_defaults(settings, keep={*EVERY, *GRANTS.get(role, ())})
    return settings


def _forget_defaults(section: BaseModel, *, keep: AbstractSet[str] = frozenset()) -> None:
    for name in type(section).model_fields.keys() - section.model_fields_set - keep:
        del section.__dict__[name]
    for name, value in section.__dict__.items():
        if isinstance(value, BaseModel) and name not in keep:
            _forget_defaults(value)
