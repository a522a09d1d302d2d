"""What libpq is told."""

from pathlib import Path

from pydantic import SecretStr

from priceverse.config.settings import Database
from priceverse.db.connect import parameters, place, reading


def test_every_session_is_bounded_utc_and_in_our_schema() -> None:
    options = parameters(Database(statement_timeout_ms=1234))["options"]
    for word in (
        "statement_timeout=1234",
        "timezone=UTC",
        "search_path=public",
        "idle_in_transaction_session_timeout=",
    ):
        assert f"-c {word}" in options


def test_a_migrator_has_all_the_time() -> None:
    assert "-c statement_timeout=0" in parameters(Database(), statement_timeout_ms=0)["options"]


def test_tls_is_verified_or_not_asked_for() -> None:
    assert "sslmode" not in parameters(Database())
    assert parameters(Database(ssl=True))["sslmode"] == "verify-full"
    assert parameters(Database(ssl=True))["sslrootcert"] == "system"
    assert parameters(Database(ssl=True, ssl_root_cert=Path("/ca.pem")))["sslrootcert"] == "/ca.pem"


def test_the_place_tells_people_no_secret() -> None:
    settings = Database(host="db", port=6543, database="prices", user="me", password=SecretStr("hush"))
    assert place(settings) == "db:6543/prices"
    assert parameters(settings)["password"] == "hush"


def test_hosts_for_reads_keep_their_own_ports_and_take_the_usual_one() -> None:
    given = parameters(Database(port=6000), hosts=["one", "two:7000", "10.0.0.1", "[::1]:7001", "::2", "/run/pg:7002"])
    assert given["host"] == "one,two,10.0.0.1,::1,::2,/run/pg"
    assert given["port"] == "6000,7000,6000,7001,6000,7002"
    assert given["target_session_attrs"] == "prefer-standby"


def test_the_api_connects_as_itself_and_less_patiently() -> None:
    settings = Database(user="writer", password=SecretStr("w"), read_user="reader", read_password=SecretStr("r"))
    given = parameters(reading(settings))
    assert (given["user"], given["password"]) == ("reader", "r")
    assert "statement_timeout=3000" in given["options"]
    assert parameters(reading(Database(user="both", password=SecretStr("w"))))["password"] == "w"
