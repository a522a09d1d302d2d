"""Numbers from strangers: kept to the digit, or refused."""

from decimal import Decimal

import pytest

from priceverse.model.decimals import positive


@pytest.mark.parametrize("text", ["0.10", "84095.71350112", "1E+3", "00012"])
def test_a_number_keeps_the_digits_it_came_with(text):
    assert positive(text).as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("NaN", "not finite"),
        ("Infinity", "not finite"),
        ("-Infinity", "not finite"),
        ("0", "not positive"),
        ("-0.0", "not positive"),
        ("-1", "not positive"),
        ("1,5", "not a number: '1,5'"),
        ("", "not a number: ''"),
        ("x" * 100, "not a number: '" + "x" * 40 + "'"),
        (None, "not a number: 'None'"),
    ],
)
def test_what_is_none_is_refused(text, fault):
    with pytest.raises(ValueError, match=f"^{fault}$"):
        positive(text)


@pytest.mark.parametrize("text", ["1e400", "1e-400", "1" * 200])
def test_a_number_of_an_absurd_size_is_refused(text):
    with pytest.raises(ValueError):
        positive(text)
