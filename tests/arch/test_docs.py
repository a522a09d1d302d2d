"""What the documents name exists: commands, configuration keys, files."""

import re

import click
import pytest

from priceverse.alerts.rules import rules
from priceverse.cli import COMMANDS, main
from priceverse.cli.examples import EXAMPLES
from priceverse.config.render import markdown_table
from priceverse.config.settings import Settings
from supervisor.errors import Code
from tests.e2e.documents import ELSEWHERE, LANGUAGES, NOT_TYPED, PAGES, ROOT, commands

SECTIONS = (
    "app|database|redis|exchanges|cbr|pairs|aggregation|api|supervisor|retention|alerts|logging|metrics|health|backfill"
)
KEYS = set(re.findall(r"^\| `([\w.]+)` ", markdown_table(), re.MULTILINE))


def group(command: click.Command) -> click.Group | None:
    return command if isinstance(command, click.Group) else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_named_exists(page):
    for words in re.findall(r"\bpriceverse ((?:[a-z][a-z-]+ ?){1,2})", page.read_text(encoding="utf-8")):
        first, *rest = words.split()
        if first in COMMANDS:
            command = main.get_command(click.Context(main), first)
            if rest and (inner := group(command)):
                assert inner.get_command(click.Context(inner), rest[0]), f"priceverse {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_key_that_is_named_exists(page):
    named = set(re.findall(rf"`((?:{SECTIONS})\.[a-z_]+(?:\.[a-z_]+)*)\b[^`(]*`", page.read_text(encoding="utf-8")))
    known = {key.rsplit(".", n)[0] for key in KEYS for n in range(3)} | KEYS
    files = {f"{name}.md" for name in ("deployment", "operations")}
    assert {
        key for key in named if f"{key}" not in files and not key.endswith((".toml", ".md", ".json", ".yml"))
    } <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_readme_names_every_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Commands")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:priceverse )?([a-z]+)", table))
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page):
    """So no command hides from the tests that type them."""
    openings = re.findall(r"^```(.*)\n(?:.*\n)*?```$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(openings) <= LANGUAGES


def test_what_no_test_types_is_in_a_document():
    lines = {line for page in PAGES for line in commands(page)} | {line for each in EXAMPLES.values() for line in each}
    assert {words for words in NOT_TYPED | ELSEWHERE if not any(line.startswith(words) for line in lines)} == set()


RUNBOOK = (ROOT / "etc/operations.md").read_text(encoding="utf-8")


def test_the_runbook_has_every_alert():
    table = RUNBOOK.partition("## Alerts")[2].partition("\n## ")[0]
    told = {rule.name for rule in rules(Settings())} | set(
        re.findall(r"alert: (\w+)", (ROOT / "etc/prometheus/alerts.yml").read_text(encoding="utf-8"))
    )
    assert told == set(re.findall(r"`([a-z]+(?:_[a-z]+)+|Priceverse\w+)` \|", table))


def test_the_runbook_has_every_exit_code():
    table = RUNBOOK.partition("## Exit codes")[2].partition("\n## ")[0]
    assert set(map(int, re.findall(r"^\| (\d+) \|", table, re.MULTILINE))) == set(map(int, Code))
