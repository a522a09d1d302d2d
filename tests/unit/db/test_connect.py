"""What libpq is told."""

from pathlib import Path

from pydantic import SecretStr

from priceverse.config.settings import Database
from priceverse.db.connect import parameters, place


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
