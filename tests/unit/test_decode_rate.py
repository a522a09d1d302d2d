"""`priceverse rate`: the rate and its day as JSON, or one line of refusal and exit 65."""

import json

import pytest
from click.testing import CliRunner

from priceverse.cli.rate import command
from tests.unit.exchanges.frame_files import OURS


def rate(document):
    return CliRunner().invoke(command, input=document)


def test_a_document():
    result = rate((OURS / "cbr/nominal10.xml").read_bytes())
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"usd": "81.4291", "date": "2026-10-01"}


@pytest.mark.parametrize(
    "document", [b"", b"<html></html>", b"\xff\n\n\xff", b"<ValCurs>two\nlines</ValCurs>", b" " * 3_000_000]
)
def test_a_refusal(document):
    result = rate(document)
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.count("\n") == 1
