"""What a field may hold: exact numbers, floored times, ids as text. The tables are the specification."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.exchanges import fields
from priceverse.exchanges.fields import Refused
from priceverse.exchanges.protocol import Reason
from priceverse.model.decimals import positive

NAIVE_2010, NAIVE_2099 = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2010, 2099))


@pytest.mark.parametrize(
    ("received", "digits"),
    [
        ("84099.0", "84099.0"),
        ("0.08200000000000000000", "0.08200000000000000000"),
        ("1e-8", "1E-8"),
        ("8.40990E4", "84099.0"),
        (84095, "84095"),
        ("999999999999999.999999999999999999999999", "999999999999999.999999999999999999999999"),
        ("0.000000000000000000000001", "1E-24"),
    ],
)
def test_amounts_keep_the_digits_received(received, digits):
    assert str(fields.price(received)) == str(fields.volume(received)) == digits


@pytest.mark.parametrize(
    "received",
    ["", "0", "0.000", "-1", "NaN", "sNaN", "Infinity", "1_0", " 1", "1 ", "1\n", "+1", "0x10", "1,5", ".5", "5.", "٣",
     "1e", "1e16", "1e-30", "1e999999999999999999999", "1" * 41, "1" * 100_000, 0, -1, 10**15, True, None, [], {}],
)  # fmt: skip
def test_what_is_no_amount_is_refused(received):
    with pytest.raises(Refused) as price:
        fields.price(received)
    with pytest.raises(Refused) as volume:
        fields.volume(received)
    assert (price.value.reason, volume.value.reason) == (Reason.BAD_PRICE, Reason.BAD_VOLUME)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value="1e-20", max_value="1e14"))
def test_an_amount_is_what_the_model_admits(number):
    text = format(number, "f") if len(format(number, "f")) < 60 else str(number)
    try:
        admitted = positive(text)
    except ValueError:
        admitted = None
    try:
        read = fields.price(text)
    except Refused:
        read = None
    assert (read, str(read)) == (admitted, str(admitted))


literals = st.from_regex(r"-?(0|[1-9][0-9]{0,44})(\.[0-9]{1,44})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(literals)
def test_a_bare_number_is_what_it_would_be_in_quotes(literal):
    try:
        quoted = fields.price(literal)
    except Refused:
        quoted = None
    try:
        bare = fields.amount(fields.bare(literal))
    except (Refused, ArithmeticError):
        bare = None
    assert (bare, str(bare)) == (quoted, str(quoted))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-09-26T18:07:54.626190Z", 1790446074626),
        ("2026-09-26T18:20:00.999999Z", 1790446800999),
        ("2026-09-02T07:45:01Z", 1788335101000),
        ("2026-09-26T18:20:01.5Z", 1790446801500),
        ("2026-09-26T18:20:01.05z", 1790446801050),
        ("2026-09-26t20:20:01.000000001+02:00", 1790446801000),
        ("2026-09-26T12:50:01-05:30", 1790446801000),
        ("2024-02-29T23:59:59.9999Z", 1709251199999),
    ],
)
def test_rfc_3339(text, ms):
    assert fields.time_rfc3339(text) == ms
    assert fields.time_rfc3339(text) == ms, "the remembered second gives the same"


@given(st.datetimes(min_value=NAIVE_2010, max_value=NAIVE_2099), st.integers(0, 9))
def test_rfc_3339_floors_whatever_the_fraction(moment, digits):
    exact = moment.replace(tzinfo=UTC)
    fraction = f"{exact.microsecond:06d}000"[:digits]
    text = exact.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
    shown_ms = int((fraction + "000")[:3])
    assert fields.time_rfc3339(text) == int(exact.replace(microsecond=0).timestamp()) * 1000 + shown_ms


def test_times_in_ms_and_ns():
    assert fields.time_ms(1790000000000) == fields.time_ms("1790000000000") == 1790000000000
    assert fields.time_ns("1545913818099033203") == fields.time_ns(1545913818099999999) == 1545913818099


@pytest.mark.parametrize(
    "value", [0, -1, 1790000000, 1790000000000000, "x", "", "1.5", "-1", None, True, [], 1e12, 10**50]
)
def test_what_is_no_time_is_refused(value):
    for read in (fields.time_ms, fields.time_ns, fields.time_rfc3339):
        if not (read is fields.time_ns and value == 1790000000000000):
            with pytest.raises(Refused):
                read(value)


def test_ids_are_text():
    assert fields.numeric_id(9007199254740993) == fields.numeric_id("9007199254740993") == "9007199254740993"
    assert fields.numeric_id(0) == "0"
    assert fields.text_id(5) == "5"
    for text in ("60820e807857784acade95a7", "a9188a0a-82bc-50de-be60-03eedbe3cdd7", "0001"):
        assert fields.text_id(text) == text


@pytest.mark.parametrize("value", [None, True, -1, "", "-1", "1.5", "a b", "a\n", "é", "x" * 65, [], {}, 10**40])
def test_what_is_no_id_is_refused(value):
    for read in (fields.numeric_id, fields.text_id):
        with pytest.raises(Refused):
            read(value)


def test_flags_and_sides():
    assert fields.flag(None) is False
    assert fields.flag(value=True) is True
    assert (fields.taker_by_maker(True), fields.taker_by_maker(False)) == ("sell", "buy")
    for value in (1, "true", []):
        with pytest.raises(Refused):
            fields.flag(value)
        with pytest.raises(Refused):
            fields.taker_by_maker(value)
    with pytest.raises(Refused):
        fields.taker(["buy"], fields.SIDES)


def test_a_refusal_shows_the_culprit_in_bounded_text():
    with pytest.raises(Refused) as refused:
        fields.price("9" * 100_000)
    reject = refused.value.reject()
    assert reject.reason == "bad_price"
    assert "999" in reject.sample
    assert len(reject.sample) < 100
    assert Decimal(reject.sample.count("9")) > 10
