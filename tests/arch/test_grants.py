"""Every key of the settings that a role's package reads is given to that role."""

import re
from pathlib import Path

import pytest

from priceverse.config.grants import EVERY, GRANTS
from priceverse.config.settings import Settings

PACKAGE = Path(__file__).parents[2] / "priceverse"
READ = re.compile(r"\bsettings\.([a-z_]+)(?:\.([a-z_]+))?")
NEEDS = {"source_pairs": "pairs", "listed_pairs": "pairs", "derived_pairs": "pairs", "symbols": "pairs",
         "metrics_socket": "supervisor.control_socket"}  # fmt: skip


def reads(role: str) -> set[str]:
    """Return `section` or `section.key` as spelt in the package; what is no section is a local of that name."""
    spelt = {match.groups() for path in (PACKAGE / role).rglob("*.py") for match in READ.finditer(path.read_text())}
    keys = {f"{section}.{key}" if key else section for section, key in spelt if section in Settings.model_fields}
    return keys | {NEEDS[section] for section, _ in spelt if section in NEEDS}


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_is_given_what_it_reads(role):
    given = {*EVERY, *GRANTS[role]}
    parts = {key.partition(".")[0] for key in given}
    for key in reads(role):
        section, _, name = key.partition(".")
        is_key = name in getattr(Settings(), section).__class__.model_fields if name and section != "pairs" else False
        assert section in given or (key in given if is_key else section in parts), f"{role} reads {key}"


@pytest.mark.parametrize("role", [role for role in GRANTS if "database" not in GRANTS[role]])
def test_who_is_not_given_the_database_does_not_know_its_door(role: str) -> None:
    assert [path for path in (PACKAGE / role).rglob("*.py") if "priceverse.db" in path.read_text()] == []
