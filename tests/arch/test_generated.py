"""What the program can generate stands in the repository exactly as it generates it."""

import tomllib
from pathlib import Path

import pytest

from priceverse import services
from priceverse.config.load import load
from priceverse.config.render import example_toml, markdown_table
from priceverse.config.settings import Settings
from priceverse.rpc.discover import method_table

ROOT = Path(__file__).parents[2]


def test_the_example_configuration_is_generated():
    assert (ROOT / "etc/priceverse.toml").read_text(encoding="utf-8") == example_toml()


def test_the_readme_table_of_keys_is_generated():
    assert markdown_table() in (ROOT / "etc/README.md").read_text(encoding="utf-8")


def test_the_readme_table_of_methods_is_generated():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- methods -->\n{method_table(services.registry())}\n<!-- /methods -->" in readme


@pytest.mark.parametrize("comment", ["#", ""])
def test_the_example_means_the_defaults_commented_or_not(tmp_path, comment):
    lines = [
        line if not line.startswith("#") or line.startswith("# ") or comment else line[1:]
        for line in example_toml().splitlines()
    ]
    file = tmp_path / "priceverse.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    tomllib.loads(file.read_text(encoding="utf-8"))
    assert load(file, environ={}).settings == Settings()
