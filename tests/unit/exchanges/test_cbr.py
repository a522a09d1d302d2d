"""The Bank of Russia's documents: exactly the rate and its day, or a refusal in one line."""

import contextlib
import datetime as dt
import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priceverse.exchanges.cbr import MAX_BYTES, CbrDocument, RateRefused, parse
from tests.unit.exchanges.frame_files import FOLDERS, OURS, json_lines

CASES = [
    pytest.param(folder / "cbr" / case["file"], case, id=f"{folder.name}-{case['file']}")
    for folder in FOLDERS
    for case in json_lines(folder / "cbr/expected.jsonl")
]
PLAIN = (OURS / "cbr/plain.xml").read_bytes()


def attempt(document: bytes) -> CbrDocument | str:
    """Return what the document says, or why it was refused."""
    try:
        return parse(document)
    except RateRefused as refused:
        return str(refused)


@pytest.mark.parametrize(("path", "case"), CASES)
def test_document(path, case):
    read = attempt(path.read_bytes())
    if isinstance(read, CbrDocument):
        assert case["cls"] in ("ok", "lenient")
        assert read == CbrDocument(Decimal(case["usd"]), dt.date.fromisoformat(case["date"]))
    else:
        assert case["cls"] in ("reject", "lenient")
        assert "\n" not in read
        assert len(read) < 300


def test_the_digits_are_kept():
    assert str(parse((OURS / "cbr/zeros.xml").read_bytes()).usd_rub) == "81.4200"
    assert str(parse((OURS / "cbr/nominal10.xml").read_bytes()).usd_rub) == "81.4291"


@pytest.mark.parametrize(
    "document",
    [
        b" " * (MAX_BYTES + 1),
        PLAIN + b" " * MAX_BYTES,
        b"<a>" * 300_000,
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b"<a " + b" ".join(b'a%d="1"' % n for n in range(60_000)) + b"/>",
        b"<ValCurs>" + b"<Valute/>" * 90_000 + b"</ValCurs>",
        PLAIN.replace(b"81,4291", b"8" * 500_000),
        PLAIN.replace(b"<Nominal>1<", b"<Nominal>" + b"1" * 500_000 + b"<"),
    ],
    ids=["huge", "padded", "deep and cut", "deep", "attributes", "rows", "digits", "nominal"],
)
def test_a_hostile_document_is_refused_quickly(document):
    start = time.thread_time()
    with pytest.raises(RateRefused):
        parse(document)
    assert time.thread_time() - start < 3


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_a_changed_document_gives_a_sane_rate_or_a_refusal(data):
    document = bytearray(PLAIN)
    at = data.draw(st.integers(0, len(document)))
    document[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=12))
    read = attempt(bytes(document))
    if isinstance(read, CbrDocument):
        assert read.usd_rub.is_finite()
        assert read.usd_rub > 0
        assert 1992 <= read.date.year < 2100


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(document):
    with pytest.raises(RateRefused):
        parse(document)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20))
@settings(deadline=None)
def test_any_declared_encoding_gives_the_rate_or_a_refusal(encoding):
    with contextlib.suppress(RateRefused):
        assert parse(PLAIN.replace(b"windows-1251", encoding.encode())).usd_rub == Decimal("81.4291")
