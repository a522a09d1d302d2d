"""Exact decimals: the context in which prices and volumes are computed, the way text becomes a number.

`EXACT` is wide enough that products and running sums of admitted numbers never round: a number has at most
`MAX_DIGITS` digits and a magnitude from 10^`SMALLEST` to 10^`LARGEST`, so a sum of 10^9 products needs fewer than 200
digits.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

MAX_DIGITS = 40
SMALLEST, LARGEST = -24, 14
PLACES = Decimal("1e-8")
"""Resolution of stored and served prices and volumes: the schema's numeric(24,8)."""

STORABLE = Decimal(10) ** 16
"""What the schema has no room for: a number of seventeen digits before the point."""

EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


def positive(value: Decimal | int | str) -> Decimal:
    """Return `value` as a finite, positive Decimal with exactly the digits received.

    Raises ValueError for anything that is not a number, is not finite, is zero or negative, or is of an absurd
    length or magnitude.
    """
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise ValueError(f"not a number: {str(value)[:40]!r}") from error
    if not number.is_finite():
        raise ValueError("not finite")
    if number <= 0:
        raise ValueError("not positive")
    if len(number.as_tuple().digits) > MAX_DIGITS or not SMALLEST <= number.adjusted() <= LARGEST:
        raise ValueError("absurd number")
    return number


def is_storable(price: Decimal) -> bool:
    """Tell whether the schema takes a number of eight places as a price: it is neither zero nor too large."""
    return 0 < price < STORABLE


def to_places(value: Decimal) -> Decimal:
    """Round half-even to the eight places of the schema."""
    return value.quantize(PLACES, context=EXACT)
