"""What explains a row is stored with every digit, once per source pair."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

from priceverse.db.explanations import decode, encode
from priceverse.model.explanation import Reasons
from priceverse.model.price import Excluded, Source

KRAKEN = Source(
    exchange="kraken",
    vwap=Decimal("64000.12345678"),
    volume=Decimal("0.0000000001"),
    trades=3,
    last_ms=1_767_225_600_000,
    conversion=Decimal(1),
    price=Decimal("64000.12345678"),
    weight=Decimal("0.33333333"),
    excluded=None,
)
OKX = replace(KRAKEN, exchange="okx", conversion=None, price=None, weight=Decimal(0), excluded=Excluded.NO_CONVERSION)
REASONS = Reasons(
    source_pair="btc-usd",
    window_start_ms=1_767_225_570_000,
    window_end_ms=1_767_225_600_000,
    as_of_ms=1_767_225_599_990,
    confidence_bps=Decimal("1.20"),
    degraded=True,
    details=(KRAKEN, OKX),
)


def stored(pair: str, reasons: Reasons):
    return json.loads(encode(pair, reasons))


def test_reasons_come_back_as_they_went():
    row = stored("btc-usd", REASONS)
    assert decode(row, row) == REASONS


def test_a_derived_row_has_its_rate_and_the_rest_from_its_source():
    derived = replace(REASONS, rate=Decimal("78.5431"), rate_date=date(2026, 1, 1))
    row = stored("btc-rub", derived)
    assert row == {"sourcePair": "btc-usd", "rate": "78.5431", "rateDate": "2026-01-01"}
    assert decode(row, stored("btc-usd", REASONS)) == derived


def test_without_the_source_row_there_are_no_reasons():
    assert decode(stored("btc-rub", REASONS), None) is None


def test_no_number_in_json_could_become_a_double():
    numbers = {key for key, value in stored("btc-usd", REASONS)["details"][0].items() if not isinstance(value, str)}
    assert numbers == {"trades", "lastMs"}
