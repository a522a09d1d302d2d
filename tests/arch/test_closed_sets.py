"""One word per idea: the exchange enum is the adapters, their files, their frames and the default configuration."""

import re
from pathlib import Path

from priceverse.config.settings import Exchanges, Settings
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange

ROOT = Path(__file__).parents[2]


def test_every_exchange_has_an_adapter_a_file_a_frame_file_and_a_table():
    for exchange in Exchange:
        assert ADAPTERS[exchange].exchange is exchange
        assert (ROOT / f"priceverse/exchanges/{exchange}.py").exists()
        assert (ROOT / f"tests/frames/{exchange}.jsonl").exists()
        assert exchange.value in Exchanges.model_fields
    assert set(ADAPTERS) == set(Exchange)
    assert set(Settings().exchanges.enabled) == set(Exchange)


def test_every_exchange_trades_some_default_pair():
    for exchange in Exchange:
        assert Settings().symbols(exchange)


def test_redis_keys_are_spelt_in_one_module_only():
    spelt = re.compile(r"""["'](price:|stream:trades|rate:usd|stats:|lease:|fence:|limit:|chart:|change:)""")
    for path in (ROOT / "priceverse").rglob("*.py"):
        if path != ROOT / "priceverse/bus/keys.py":
            assert not spelt.search(path.read_text(encoding="utf-8")), path


def test_sql_is_spelt_behind_the_database_door_only():
    statement = re.compile(r"""["'](SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP) """)
    for path in (ROOT / "priceverse").rglob("*.py"):
        if "priceverse/db/" not in str(path) and "priceverse/embedded/" not in str(path):
            assert not statement.search(path.read_text(encoding="utf-8")), path


def test_no_float_between_the_frame_and_the_price():
    for package in ("model", "exchanges", "pricing"):
        for path in (ROOT / "priceverse" / package).rglob("*.py"):
            assert not re.search(r"\bfloat\(", path.read_text(encoding="utf-8")), path
