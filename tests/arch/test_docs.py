"""What the documents name exists: commands, configuration keys, files."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from priceverse.cli import COMMANDS, main
from priceverse.config.render import markdown_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("etc/*.md")), ROOT / "sql/README.md", ROOT / "systemd/README.md"]
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


@pytest.mark.parametrize(
    "words", re.findall(r"^priceverse ([a-z]+(?: [a-z]+)?)", (ROOT / "README.md").read_text(), re.MULTILINE)
)
def test_the_commands_to_type_take_their_options(words):
    done = CliRunner().invoke(main, [words.split()[0], "--help"])
    assert done.exit_code == 0
