"""Numbers and instants in the venues' digits."""

import pytest

from priceverse.config.settings import Settings
from priceverse.model.exchange import Exchange
from priceverse.simulator.instants import like, read_instant, rfc3339
from priceverse.simulator.listings import LISTINGS, listings
from priceverse.simulator.match import fixed, trimmed


@pytest.mark.parametrize(
    ("units", "places", "text"), [(8_410_000, 2, "84100.00"), (5, 8, "0.00000005"), (0, 1, "0.0"), (7, 0, "7")]
)
def test_fixed_prints_all_places(units, places, text):
    assert fixed(units, places) == text


@pytest.mark.parametrize(
    ("number", "text"), [("84100.00", "84100"), ("0.0500", "0.05"), ("100", "100"), ("65090.99", "65090.99")]
)
def test_trimmed_drops_only_zeros_of_the_fraction(number, text):
    assert trimmed(number) == text


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1790446152678", 1_790_446_152_678_000_000),
        ("1790446152678901", 1_790_446_152_678_901_000),
        ("1790446152678901234", 1_790_446_152_678_901_234),
        ("1790446152", 1_790_446_152_000_000_000),
        ("2026-09-26T18:09:12.678901Z", 1_790_446_152_678_901_000),
        ("2026-09-26T18:09:12.6789Z", 1_790_446_152_678_900_000),
        ("2026-09-26T18:09:12Z", 1_790_446_152_000_000_000),
    ],
)
def test_an_instant_reads_and_prints_in_its_own_digits(text, ns):
    assert read_instant(text) == ns
    assert like(text, ns) == text
    assert len(like(text, ns + 5_000_000_000)) == len(text)


@pytest.mark.parametrize("text", ["", "17", "2026-13-01T00:00:00Z", "yesterday"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(ValueError):
        read_instant(text)


def test_rfc3339_cuts_and_does_not_round():
    assert rfc3339(1_790_446_152_999_999_999) == "2026-09-26T18:09:12.999999Z"
    assert rfc3339(1_790_446_152_999_999_999, 0) == "2026-09-26T18:09:12Z"


def test_every_default_symbol_is_listed_by_its_venue():
    settings = Settings()
    for exchange in Exchange:
        traded = {listing.symbol: listing for listing in listings(exchange)}
        for symbol, pair in settings.symbols(exchange).items():
            assert traded[symbol].pair == pair
            assert traded[symbol].quote == settings.quote(pair, exchange)
            assert traded[symbol].default


def test_litecoin_is_listed_everywhere_and_is_no_default():
    litecoin = [listing for listing in LISTINGS if listing.pair == "ltc-usd"]
    assert {listing.exchange for listing in litecoin} == set(Exchange)
    assert not any(listing.default for listing in litecoin)


@pytest.mark.parametrize(
    ("exchange", "price", "volume"),
    [
        (Exchange.BINANCE, "84100.00000000", "0.50000000"),
        (Exchange.KRAKEN, "8410000.0", "0.00050000"),
        (Exchange.COINBASE, "84100", "0.0005"),
        (Exchange.OKX, "841000", "0.0005"),
        (Exchange.BYBIT, "841000", "0.05"),
        (Exchange.KUCOIN, "841000", "0.0005"),
    ],
)
def test_each_venue_prints_numbers_its_own_way(exchange, price, volume):
    bitcoin = next(listing for listing in listings(exchange) if listing.pair == "btc-usd")
    units = 84_100_000 if exchange is Exchange.KRAKEN else 8_410_000
    assert (bitcoin.price(units), bitcoin.volume(50_000)) == (price, volume)
