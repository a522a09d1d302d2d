"""Log lines: one JSON object each, stable keys, bounded length and rate, no local variables."""

import errno
import importlib
import io
import json
import os
import subprocess
import sys

import pytest

from priceverse import log
from priceverse.lean import without


@pytest.fixture
def lines():
    out = io.StringIO()
    log.configure(level="info", file=out, child="collector.kraken", role="collector")
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_time_level_event_and_who(lines):
    log.get_logger().warning("trade_rejected", reason="bad_price")
    log.get_logger().debug("not_wanted")
    (line,) = lines()
    assert line["level"] == "warning"
    assert (line["event"], line["reason"]) == ("trade_rejected", "bad_price")
    assert (line["child"], line["role"]) == ("collector.kraken", "collector")
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2026-01-01T00:00:00.000Z")


def test_a_long_value_is_cut(lines):
    log.get_logger().info("sample_kept", sample="x" * 10_000)
    assert len(lines()[0]["sample"]) == log.MAX_VALUE_CHARS + 1


def test_an_exception_is_structured_and_shows_no_locals(lines):
    secret = "hunter2"
    try:
        int("bad")
    except ValueError:
        log.get_logger().exception("something_failed")
    assert lines()[0]["exception"][0]["exc_type"] == "ValueError"
    assert secret not in json.dumps(lines())


def test_a_flood_of_one_event_is_counted_and_leaves_the_others_alone(lines, monkeypatch):
    monkeypatch.setattr(log.time, "monotonic", lambda: 100.0)
    for _ in range(1000):
        log.get_logger().info("flood_came")
    log.get_logger().info("other_came")
    written = [line["event"] for line in lines()]
    assert written.count("flood_came") == log.BURST
    assert written.count("other_came") == 1


def test_what_was_suppressed_is_told_once_the_flood_is_over(lines, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    for _ in range(log.BURST + 7):
        log.get_logger().info("flood_came")
    now[0] += 1
    log.get_logger().info("flood_came")
    assert lines()[-1]["suppressed"] == 7


@pytest.mark.parametrize("module", ["priceverse.log", "priceverse.net.http"])
def test_what_every_child_imports_loads_no_terminal_library(module):
    code = f"import sys, {module}; sys.exit(bool({{'rich', 'pygments', 'click'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_hidden_module_can_be_imported_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self):
        self.write("")


def test_a_line_that_cannot_be_written_ends_nobody():
    log.configure(file=Full(), child="root", role="root")
    log.get_logger().info("started")


def test_text_that_is_no_text_ends_nobody_and_is_still_json():
    raw = io.BytesIO()
    log.configure(file=io.TextIOWrapper(raw, encoding="utf-8"), child="root", role="root")
    log.get_logger().info("started", path=os.fsdecode(b"\xff"))
    assert json.loads(raw.getvalue())["path"] == "\udcff"
