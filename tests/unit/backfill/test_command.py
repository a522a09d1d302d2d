"""`priceverse backfill`, before it asks anybody: what it takes and what it refuses."""

import pytest
from click.testing import CliRunner

from priceverse.cli.backfill import command
from priceverse.model.candle import Interval


@pytest.mark.parametrize("interval", [Interval.FIVE_MINUTES, Interval.HOUR])
def test_candles_older_than_are_kept_are_refused(interval):
    shown = CliRunner().invoke(command, ["--from", "2015-01-01", "--interval", interval.value])
    assert shown.exit_code == 2
    assert f"candles of {interval.value} are kept since " in shown.output
