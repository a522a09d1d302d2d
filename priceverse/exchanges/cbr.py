"""The Bank of Russia's daily rates: document (bytes) → roubles per US dollar, for a date. Refuses rather than guesses.

The document declares its own encoding (windows-1251, at times UTF-8), so bytes go to the parser undecoded. It has a
decimal comma and a Nominal that changes: the rate is Value / Nominal, exactly. The Date is the day the rate is set for.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped] # has no stubs
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped] # has no stubs

from priceverse.model.decimals import MAX_DIGITS, positive

MAX_BYTES: Final = 1 << 20
"""The real document has 10 KB."""
FIRST_YEAR, LAST_YEAR = 1992, 2100

_EXACTLY = Context(prec=2 * MAX_DIGITS, traps=[Inexact, InvalidOperation])
_DATE = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})").fullmatch
_NUMBER = re.compile(r"[0-9]{1,20}(?:,[0-9]{1,20})?").fullmatch
_NOMINAL = re.compile(r"[0-9]{1,7}").fullmatch
_MAX_QUOTED = 60


@dataclass(frozen=True, slots=True)
class CbrDocument:
    """What a daily document says: roubles per US dollar with exactly its digits, and the day the rate is set for."""

    usd_rub: Decimal
    date: date


class RateRefused(ValueError):  # noqa: N818 - the name of a decision
    """The document gives no rate; the text is one line that says why."""


def parse(document: bytes) -> CbrDocument:
    """Read a daily document. Raises RateRefused for whatever is not one, and never fetches what it refers to."""
    root = _root(document)
    if root.tag != "ValCurs":
        raise RateRefused(f"not a document of daily rates: the root is {_quoted(root.tag)}")
    rows = [row for row in root.findall("Valute") if _text(row, "CharCode") == "USD"]
    rates = {_rate(row) for row in rows}
    if len(rates) != 1:
        differing = ", ".join(str(rate) for rate in sorted(rates))
        raise RateRefused(f"USD rows differ: {differing}" if rates else f"no USD row: {_quoted(root.text or '')}")
    return CbrDocument(rates.pop(), _date(root.get("Date", "")))


def _root(document: bytes) -> Element:
    if len(document) > MAX_BYTES:
        raise RateRefused(f"{len(document)} bytes: more than {MAX_BYTES}")
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except DefusedXmlException as error:
        raise RateRefused(f"a DOCTYPE or an entity, which the bank never sends: {type(error).__name__}") from None
    except (ParseError, LookupError, ValueError) as error:  # the last two: an encoding that Python or expat lacks
        raise RateRefused(f"not XML: {_quoted(error)}") from None
    return root


def _rate(row: Element) -> Decimal:
    """Return Value / Nominal of one row."""
    nominal = _nominal(row)
    try:
        rate = positive(_EXACTLY.divide(_number(row, "Value"), nominal))
    except (Inexact, ValueError):
        raise RateRefused(f"Value {_quoted(row.findtext('Value'))} per {nominal} is not a rate") from None
    if row.find("VunitRate") is not None and _number(row, "VunitRate") != rate:
        raise RateRefused(f"VunitRate {_quoted(row.findtext('VunitRate'))} is not Value / Nominal = {rate}")
    return rate


def _nominal(row: Element) -> Decimal:
    text = _text(row, "Nominal")
    if not _NOMINAL(text) or not int(text):
        raise RateRefused(f"Nominal is not a count: {_quoted(text)}")
    return Decimal(text)


def _number(row: Element, name: str) -> Decimal:
    text = _text(row, name)
    if not _NUMBER(text):
        raise RateRefused(f"{name} is not a number with a decimal comma: {_quoted(text)}")
    return Decimal(text.replace(",", "."))


def _text(row: Element, name: str) -> str:
    """Return the text of the only child of that name; "" if there is none, or more than one."""
    found = row.findall(name)
    return (found[0].text or "").strip(" \t\r\n") if len(found) == 1 and not len(found[0]) else ""


def _date(text: str) -> date:
    match = _DATE(text)
    try:
        day = date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year < LAST_YEAR:
        raise RateRefused(f"Date is not a day dd.mm.yyyy: {_quoted(text)}")
    return day


def _quoted(culprit: object) -> str:
    """Return a bounded, printable piece on one line."""
    return repr(str(culprit)[:_MAX_QUOTED])
