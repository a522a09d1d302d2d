"""The secrets file: what stands in it, who can read it, and how it changes."""

import stat
import threading

import pytest
from msgspec.structs import replace

from priceverse.config import credentials
from priceverse.config.credentials import CredentialsError, Role


def with_key(name):
    key, text = credentials.new_key(name, (Role.METRICS,), "2026-01-01T00:00:00+00:00", {"getPrice": 5})
    return text, lambda known: replace(known, keys=(*known.keys, key))


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path):
    text, edit = with_key("dashboards")
    credentials.change(tmp_path / "f", edit)
    key = credentials.load(tmp_path / "f").keys[0]
    secret = text.removeprefix(f"pv_{key.id}_")
    assert credentials.matches(secret, key.hash)
    assert secret not in (tmp_path / "f").read_text()
    assert (key.name, key.roles, key.limits) == ("dashboards", (Role.METRICS,), {"getPrice": 5})


def test_the_file_is_for_its_owner(tmp_path):
    credentials.change(tmp_path / "f", with_key("k")[1])
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


def test_the_signing_secret_stays_when_keys_change(tmp_path):
    first = credentials.change(tmp_path / "f", with_key("k")[1])
    second = credentials.change(tmp_path / "f", with_key("l")[1])
    assert first.token_secret == second.token_secret
    assert len(first.token_secret) >= 32


def test_two_who_change_it_at_once_lose_nothing(tmp_path):
    names = [f"k{i}" for i in range(6)]
    threads = [threading.Thread(target=credentials.change, args=(tmp_path / "f", with_key(name)[1])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.name for key in credentials.load(tmp_path / "f").keys) == names


@pytest.mark.parametrize("secret", ["wrong", "", "right ", "Right", "x" * 1000, "ключ"])
def test_nothing_else_matches(secret):
    stored = credentials.hashed("right")
    assert credentials.matches("right", stored)
    assert not credentials.matches(secret, stored)


@pytest.mark.parametrize(
    "stored", ["", "right", "scrypt$1$2", "scrypt$x$8$1$AAAA$AAAA", "md5$16384$8$1$AAAA$AAAA", "scrypt$3$8$1$AAAA$AAAA"]
)
def test_a_hash_that_is_none_matches_nothing(stored):
    assert not credentials.matches("right", stored)


def test_equal_secrets_have_different_hashes():
    assert credentials.hashed("same") != credentials.hashed("same")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"token_secret":1}', b'{"token_secret":"x","more":1}']
)
def test_a_file_of_somebody_else_is_refused(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(CredentialsError, match="f: "):
        credentials.load(tmp_path / "f")


def test_a_failed_edit_changes_nothing(tmp_path):
    credentials.change(tmp_path / "f", with_key("k")[1])
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(ZeroDivisionError):
        credentials.change(tmp_path / "f", lambda known: 1 / 0)
    assert (tmp_path / "f").read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"f", ".f.lock"}
