"""Layers, origins and refusals of the configuration."""

from pathlib import Path

import pytest

from priceverse.config.load import ConfigError, load
from priceverse.config.settings import Settings
from priceverse.model.exchange import Exchange, Quote


def write(folder: Path, text: str, name: str = "priceverse.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_of_the_seed_hold():
    settings = load(environ={}).settings
    assert settings.app.port == 3000
    assert settings.aggregation.interval == 10_000
    assert settings.aggregation.window_size == 30_000
    assert settings.exchanges.reconnect_base_delay == 1000
    assert settings.health.timeout == 5000
    assert set(settings.listed_pairs) == {"btc-usd", "eth-usd", "xmr-usd", "btc-rub", "eth-rub", "xmr-rub"}


def test_later_layers_win_and_are_remembered(tmp_path):
    file = write(tmp_path, '[app]\nport = 1\nhost = "127.0.0.1"\nenvironment = "staging"\n')
    write(tmp_path, "[app]\nport = 2\n", "staging.toml")
    loaded = load(file, environ={"PRICEVERSE_LOGGING__LEVEL": "debug"}, overrides={"logging": {"pretty": True}})
    assert (loaded.settings.app.port, loaded.settings.app.host) == (2, "127.0.0.1")
    assert loaded.settings.logging.level == "debug"
    assert loaded.origins["app.port"].endswith("staging.toml")
    assert loaded.origins["app.host"] == str(file)
    assert loaded.origins["logging.level"] == "environment"
    assert loaded.origins["logging.pretty"] == "command line"
    assert "redis.port" not in loaded.origins


@pytest.mark.parametrize("text", ["kraken,okx", '["kraken", "okx"]', "kraken, okx"])
def test_lists_in_the_environment_are_json_or_commas(text):
    loaded = load(environ={"PRICEVERSE_EXCHANGES__ENABLED": text})
    assert loaded.settings.exchanges.enabled == (Exchange.KRAKEN, Exchange.OKX)


def test_overriding_one_endpoint_keeps_the_venues_other_defaults():
    venue = load(environ={"PRICEVERSE_EXCHANGES__BINANCE__WS_URL": "ws://127.0.0.1:1"}).settings.exchanges.binance
    assert venue.ws_url == "ws://127.0.0.1:1"
    assert venue.rest_url == "https://api.binance.com"
    assert venue.quote is Quote.USDT


def test_a_new_pair_is_one_table(tmp_path):
    file = write(tmp_path, '[pairs.ltc-usd]\nsymbols = { kraken = "LTC/USD", binance = "LTCUSDT" }\n')
    settings = load(file, environ={}).settings
    assert "ltc-usd" in settings.source_pairs
    assert "btc-usd" in settings.source_pairs
    assert settings.symbols(Exchange.BINANCE)["LTCUSDT"] == "ltc-usd"
    assert settings.quote("ltc-usd", Exchange.BINANCE) is Quote.USDT
    assert settings.quote("ltc-usd", Exchange.KRAKEN) is Quote.USD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[app]\nprot = 1\n", "app.prot: unknown key; is port meant?"),
        ("[app]\nxyz = 1\n", "app.xyz: unknown key; allowed: environment, host, name, port"),
        ("[api.rate_limit]\nstream = 1\n", "api.rate_limit.stream: unknown key; is streams meant?"),
        ("[pairs.ltc-usd]\nsymbol = 1\n", "pairs.ltc-usd.symbol: unknown key; is symbols meant?"),
        ("[app]\nport = 70000\n", "app.port: Input should be less than or equal to 65535, got '70000'"),
        ("[exchange]\nenabled = []\n", "exchange: unknown key"),
        ("[pairs.btc-rub]\nderived_from = 'ltc-usd'\n", "pairs.btc-rub.derived_from is 'ltc-usd'"),
        ("[pairs.ltc-usd]\nlisted = true\n", "pairs.ltc-usd: needs either `symbols`"),
        ("[pairs.LTC]\nlisted = true\n", "pairs.LTC"),
        ("[supervisor.handlers]\nmin = 5\nmax = 4\n", "needs min <= size <= max"),
        ("[aggregation]\nwindow_size = 1500\n", "must be whole seconds"),
        ("not toml", "not TOML"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(tmp_path, text, expected):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(file, environ={})
    lines = str(raised.value).splitlines()
    assert any(expected in line for line in lines)
    assert all(str(file) in line for line in lines) or "pairs.btc-rub" in expected or "whole seconds" in expected


@pytest.mark.parametrize("name", ["PRICEVERSE_DATABSE__HOST", "PRICEVERSE_DATABASE__HOTS"])
def test_a_misspelt_variable_is_refused(name):
    with pytest.raises(ConfigError, match=r"environment: .*unknown"):
        load(environ={name: "x"})


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml", environ={})


def test_secrets_come_from_files_and_are_masked(tmp_path):
    secret = write(tmp_path, "hunter2\n", "password")
    settings = load(write(tmp_path, f'[database]\npassword_file = "{secret}"\n'), environ={}).settings
    assert settings.database.password is not None
    assert settings.database.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    assert Settings.model_validate(settings.for_child()) == settings


def test_secrets_are_read_from_the_files_named(tmp_path):
    for name in ("writer", "reader"):
        (tmp_path / name).write_text(f"{name}'s secret\n", encoding="utf-8")
    file = tmp_path / "priceverse.toml"
    file.write_text(
        f'[database]\npassword_file = "{tmp_path}/writer"\nread_password_file = "{tmp_path}/reader"\n', encoding="utf-8"
    )
    database = load(file, environ={}).settings.database
    assert database.password.get_secret_value() == "writer's secret"
    assert database.read_password.get_secret_value() == "reader's secret"


def test_systemd_credentials_are_read(tmp_path):
    write(tmp_path, "s3cret\n", "redis_password")
    settings = load(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings
    assert settings.redis.password is not None
    assert settings.redis.password.get_secret_value() == "s3cret"


def test_an_operators_commands_find_the_credentials_beside_the_file(tmp_path):
    (tmp_path / "credentials").mkdir()
    write(tmp_path / "credentials", "s3cret\n", "database_password")
    file = write(tmp_path, "")
    found = [load(file, environ=given).settings for given in ({}, {"PRICEVERSE_DATABASE__PASSWORD": "of the owner"})]
    assert [each.database.password.get_secret_value() for each in found] == ["s3cret", "of the owner"]


def test_the_address_for_clients_is_no_key():
    assert load(environ={"PRICEVERSE_URL": "https://prices.example.org"}).origins == {}


@pytest.mark.parametrize(
    "text",
    ["[redis]\npassword = 12345678", "[redis]\nsentinel_password = [12345678]", "[alerts]\nwebhook_secret = 12345678"],
)
def test_a_wrong_secret_never_shows_in_the_refusal(tmp_path, text):
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, f"{text}\n"), environ={})
    assert "12345678" not in str(raised.value)


def test_empty_text_means_not_set():
    assert load(environ={"PRICEVERSE_REDIS__PASSWORD": ""}).settings.redis.password is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mode = "cluster"\nsentinels = ["one:26379"]', "mode is 'cluster', which has no `sentinels`"),
        ('mode = "cluster"\ndb = 1', "mode is 'cluster', which has no .* `db`"),
        ('sentinels = ["one:26379"]\ncluster_nodes = ["one:6379"]', "mode is 'standalone', but `cluster_nodes`"),
        ('mode = "sentinel"', "mode is 'sentinel', but no `sentinels`"),
    ],
)
def test_contradictions_about_redis_are_one_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said) as raised:
        load(write(tmp_path, f"[redis]\n{text}\n"), environ={})
    assert "\n" not in str(raised.value)
