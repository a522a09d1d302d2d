"""How replies look: streams by the shape of their reports, within the lines there are."""

import pytest
from rich.console import Console

from supervisor.ctl.screen import breakers_table, streams, streams_tables

LAGS = {"btc": {"lag": 3, "last_row_ms": 1_795_366_990_000}, "eth": {"lag": None, "last_row_ms": None}}
REPORTS = [
    {"child": "reader.0", "result": LAGS},
    {"child": "reader.1", "result": {"xmr": {"lag": 1, "last_row_ms": 250}}},
    {"child": "writer", "result": {f"s{n}": {"trades": n, "lost": "never"} for n in range(6)}},
    {"child": "shy", "error": "shy did not answer streams within 5 s"},
    {"child": "plain", "result": {"lag": 0}},
]


def shown(renderable) -> list[str]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_reports_of_one_shape_share_a_table_with_a_column_a_figure(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    lines = shown(streams({"children": REPORTS}))
    assert lines[0].split() == ["CHILD", "STREAM", "LAG", "LAST", "ROW"]
    assert lines[1].split()[:3] == ["reader.0", "btc", "3"]
    assert lines[1].split()[3].count(":") == 2  # a moment is shown as a time of day
    assert lines[2].split() == ["reader.0", "eth", "–", "–"]
    assert lines[3].split() == ["reader.1", "xmr", "1", "250"]
    assert lines[5].split() == ["CHILD", "STREAM", "TRADES", "LOST"]
    assert any("shy did not answer" in line for line in lines)


def test_nobody_reports_anything():
    assert shown(streams({"children": []})) == ["no child reports streams"]


@pytest.mark.parametrize("rows", range(25))
def test_there_are_never_more_lines_than_asked_for_and_the_rest_is_counted(rows):
    tables = streams_tables(REPORTS, rows)
    assert sum(table.row_count + 2 for table in tables) <= rows
    if tables and rows == 8:
        assert shown(tables[-1])[-1].strip() == "… 6 more"


def test_breakers_of_the_supervisor_come_before_those_of_the_children():
    reply = {
        "supervisor": [{"child": "api.0", "open": True}],
        "children": [
            {"child": "api.0", "result": {"redis": {"state": "half_open", "refused": 3}, "disk": "closed"}},
            {"child": "api.1", "error": "api.1 did not answer"},
        ],
    }
    lines = [line.split() for line in shown(breakers_table(reply))[1:]]
    assert lines[:3] == [
        ["api.0", "health", "open"],
        ["api.0", "redis", "half_open", "refused", "3"],
        ["api.0", "disk", "closed"],
    ]
    assert "did not answer" in " ".join(lines[3])
