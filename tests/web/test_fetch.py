"""What the page takes from npm: fetched once, by whichever npm there is, and never in the way of a set-up."""

import os
from pathlib import Path

import pytest

from priceverse.web import fetch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own with a lock file and nothing fetched yet."""
    (tmp_path / "package-lock.json").write_text("{}")
    for name, path in (
        ("FOLDER", tmp_path),
        ("LOCK", tmp_path / "package-lock.json"),
        ("INSTALLED", tmp_path / "node_modules"),
        ("STAMP", tmp_path / "node_modules/.package-lock.json"),
    ):
        monkeypatch.setattr(fetch, name, path)
    return tmp_path


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm that does what the test says, and notes how it was called."""

    def npm(script: str) -> Path:
        program, called = tmp_path / "bin/npm", tmp_path / "called"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@" >> {called}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return called

    return npm


def test_it_is_fetched_once_and_as_the_lock_has_it(folder, npm):
    called = npm("mkdir -p node_modules/lightweight-charts && touch node_modules/.package-lock.json")
    assert fetch.main([]) == fetch.main([]) == 0
    assert called.read_text() == "ci --ignore-scripts --no-audit --no-fund --loglevel=error --omit=dev\n"


def test_a_newer_lock_is_fetched_again(folder, npm):
    called = npm("mkdir -p node_modules/lightweight-charts && touch node_modules/.package-lock.json")
    fetch.main([])
    later = fetch.STAMP.stat().st_mtime + 10
    os.utime(fetch.LOCK, (later, later))
    fetch.main([])
    assert called.read_text().count("\n") == 2


def test_what_only_tests_need_is_fetched_for_them(folder, npm):
    called = npm(
        "mkdir -p node_modules/lightweight-charts node_modules/axe-core && touch node_modules/.package-lock.json"
    )
    fetch.main([])
    fetch.main(["--dev"])
    assert called.read_text().count("--omit=dev") == 1


def test_a_registry_that_is_away_is_one_line_and_no_failure(folder, npm, capsys):
    npm("echo 'npm error code ENOTFOUND' >&2; echo more >&2; exit 1")
    assert fetch.main([]) == 0
    assert capsys.readouterr().err == "the page will have no chart: npm ended with 1: npm error code ENOTFOUND\n"
