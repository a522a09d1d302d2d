"""The simulated Bank of Russia."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from defusedxml.ElementTree import fromstring

from priceverse.simulator.venues import cbr
from priceverse.simulator.venues.protocol import Request


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def ask(now: str, **query: str):
    return cbr.respond(Request("GET", "/XML_daily.asp", query, {}), ns(now))


def parsed(body: bytes) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {
        row.findtext("CharCode"): tuple(
            Decimal(row.findtext(name).replace(",", ".")) for name in ("Nominal", "Value", "VunitRate")
        )
        for row in fromstring(body).iter("Valute")
    }


def test_the_document_is_windows_1251_with_decimal_commas():
    response = ask("2026-09-24T09:00:00")
    assert response.content_type == "application/xml; charset=windows-1251"
    assert response.body.startswith(b'<?xml version="1.0" encoding="windows-1251"?><ValCurs Date="24.09.2026"')
    assert "Доллар США".encode("windows-1251") in response.body
    assert "." not in fromstring(response.body).find(".//Value").text


def test_value_over_nominal_is_the_rate_per_unit():
    rates = parsed(ask("2026-09-24T09:00:00").body)
    assert len(rates) == 10
    assert {nominal for nominal, _, _ in rates.values()} == {1, 10, 100}
    assert all(value / nominal == unit for nominal, value, unit in rates.values())
    assert rates["USD"][1] == cbr.usd_rub(date(2026, 9, 24))
    assert Decimal(80) < rates["USD"][1] < Decimal(82)


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-09-24T12:59:00", "24.09.2026"),  # Thursday, 15:59 in Moscow
        ("2026-09-24T13:00:00", "25.09.2026"),  # tomorrow's is out
        ("2026-09-25T20:00:00", "26.09.2026"),  # Friday evening: Saturday's
        ("2026-09-26T20:00:00", "26.09.2026"),
        ("2026-09-27T12:00:00", "26.09.2026"),  # Sunday
        ("2026-09-28T12:00:00", "26.09.2026"),  # Monday, before the new one
        ("2026-09-28T13:00:00", "29.09.2026"),
        ("2026-09-24T21:30:00", "25.09.2026"),  # already Friday in Moscow
    ],
)
def test_the_newest_document_is_for_the_next_working_day(utc, day):
    assert f'Date="{day}"'.encode() in ask(utc).body


def test_a_date_may_be_asked_for():
    assert b'Date="22.09.2026"' in ask("2026-09-24T09:00:00", date_req="22/09/2026").body
    assert b'Date="26.09.2026"' in ask("2026-10-24T09:00:00", date_req="28/09/2026").body
    assert b'Date="24.09.2026"' in ask("2026-09-24T09:00:00", date_req="01/01/2030").body


def test_the_same_date_has_the_same_rates():
    assert ask("2026-09-24T09:00:00").body == ask("2026-10-01T09:00:00", date_req="24/09/2026").body


def test_a_bad_date_answers_200_with_an_error_in_it():
    response = ask("2026-09-24T09:00:00", date_req="tomorrow")
    assert response.status == 200
    assert b"<ValCurs>Error in parameters</ValCurs>" in response.body


def test_there_is_one_page():
    assert cbr.respond(Request("GET", "/", {}, {}), 0).status == 404
