"""Who is known, for how long, and how hard it is to guess. Hashing uses a thread, so time here is real."""

import pytest
import trio
from msgspec.structs import replace

from priceverse.api import auth as module
from priceverse.api import limits
from priceverse.api.auth import Auth, Identity
from priceverse.api.limits import Table
from priceverse.config import credentials
from priceverse.config.credentials import Role, User
from priceverse.rpc.errors import CallError, Code

CREATED = "2026-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(limits, "monotonic_ns", lambda: 10**15)
    monkeypatch.setattr(module, "LOOK_S", 0.0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "secrets.json"


@pytest.fixture
def clock():
    return [1_000_000]


@pytest.fixture
def auth(file, clock):
    return Auth(file, Table(None), token_ttl_s=900, now_ms=lambda: clock[0])


@pytest.fixture
def add_key(file):
    def add_key(*roles, **limits):
        key, text = credentials.new_key("k", roles, CREATED, limits)
        credentials.change(file, lambda known: replace(known, keys=(*known.keys, key)))
        return text, f"key:{key.id}"

    return add_key


@pytest.fixture
def _alice(file):
    user = User("alice", (Role.ADMIN,), credentials.hashed("open sesame"))
    credentials.change(file, lambda known: replace(known, users=(user,)))


async def code_of(call):
    with pytest.raises(CallError) as error:
        await call
    return error.value.code


async def test_without_credentials_one_is_nobody(auth):
    for header in ("", "Basic YWxpY2U6b3Blbg==", "bearer"):
        if header != "bearer":
            assert await auth.identify(header, "1.1.1.1") is None


async def test_a_key_opens_what_its_roles_open(auth, add_key):
    text, name = add_key(Role.METRICS)
    assert await auth.identify(f"Bearer {text}", "1.1.1.1") == Identity(name, frozenset({Role.METRICS}))
    identity = await auth.identify(f"bearer  {text} ", "1.1.1.1")
    assert [role for role in Role if identity.may(role)] == [Role.METRICS]


async def test_an_admin_may_all(auth, add_key):
    text, _ = add_key(Role.ADMIN)
    identity = await auth.identify(f"Bearer {text}", "1.1.1.1")
    assert all(identity.may(role) for role in Role)


@pytest.mark.parametrize(
    "change", ["{}x", "x{}", "pv_00000000_secret", "pv__", "pv_", "", "{}\u00e9", "pvt_", "pvt_a.b", "pvt_é.é"]
)
async def test_what_is_not_known_is_refused(auth, add_key, change):
    text, _ = add_key(Role.METRICS)
    assert await code_of(auth.identify(f"Bearer {change.format(text)}", "1.1.1.1")) is Code.UNAUTHORIZED


async def test_a_revoked_key_and_its_tokens_open_nothing(auth, add_key, file):
    text, _ = add_key(Role.METRICS)
    token = await auth.exchange(text, "1.1.1.1")
    assert await auth.identify(f"Bearer {token.text}", "1.1.1.1")
    credentials.change(file, lambda known: replace(known, keys=()))
    assert await code_of(auth.identify(f"Bearer {token.text}", "1.1.1.1")) is Code.UNAUTHORIZED
    assert await code_of(auth.identify(f"Bearer {text}", "1.1.1.1")) is Code.UNAUTHORIZED


@pytest.mark.usefixtures("_alice")
async def test_a_token_stands_for_a_password_for_its_time(auth, clock):
    token = await auth.log_in("alice", "open sesame", "1.1.1.1")
    assert token.expires_ms == clock[0] + 900_000
    assert (await auth.identify(f"Bearer {token.text}", "9.9.9.9")).name == "user:alice"
    clock[0] += 899_999
    assert await auth.identify(f"Bearer {token.text}", "9.9.9.9")
    clock[0] += 1
    assert await code_of(auth.identify(f"Bearer {token.text}", "9.9.9.9")) is Code.UNAUTHORIZED


@pytest.mark.usefixtures("_alice")
async def test_a_token_is_good_in_every_process_and_forged_in_none(auth, file, clock):
    other = Auth(file, Table(None), token_ttl_s=900, now_ms=lambda: clock[0])
    token = (await auth.log_in("alice", "open sesame", "1.1.1.1")).text
    assert await other.identify(f"Bearer {token}", "1.1.1.1")
    for place in range(len("pvt_"), len(token), 7):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert await code_of(other.identify(f"Bearer {forged}", "1.1.1.1")) is Code.UNAUTHORIZED


@pytest.mark.usefixtures("_alice")
async def test_guessing_ends_after_five_attempts_at_an_address(auth):
    for name in ("alice", "bob", "alice", "carol", "dave"):
        assert await code_of(auth.log_in(name, "wrong", "6.6.6.6")) is Code.UNAUTHORIZED
    assert await code_of(auth.log_in("alice", "open sesame", "6.6.6.6")) is Code.TOO_MANY_REQUESTS
    assert await auth.log_in("alice", "open sesame", "1.1.1.1")


@pytest.mark.usefixtures("_alice")
async def test_or_at_a_name(auth):
    for n in range(5):
        assert await code_of(auth.log_in("alice", "wrong", f"6.6.6.{n}")) is Code.UNAUTHORIZED
    with pytest.raises(CallError) as error:
        await auth.log_in("alice", "open sesame", "1.1.1.1")
    assert (error.value.code, error.value.retry_after_s > 0) == (Code.TOO_MANY_REQUESTS, True)


@pytest.mark.usefixtures("_alice")
async def test_who_gets_it_right_may_get_it_wrong_again(auth):
    for _ in range(3):
        for _ in range(4):
            await code_of(auth.log_in("alice", "wrong", "1.1.1.1"))
        await auth.log_in("alice", "open sesame", "1.1.1.1")


async def test_a_known_key_is_not_hashed_again(auth, add_key, monkeypatch):
    text, _ = add_key(Role.METRICS)
    await auth.identify(f"Bearer {text}", "1.1.1.1")
    monkeypatch.setattr(credentials, "matches", None)
    for _ in range(20):
        assert await auth.identify(f"Bearer {text}", "1.1.1.1")


async def test_limits_of_a_key(auth, add_key):
    _, name = add_key(getPrice=1000)
    assert (auth.limit_of(name, "getPrice"), auth.limit_of(name, "getOHLCV")) == (1000, None)
    assert auth.limit_of("1.1.1.1", "getPrice") is auth.limit_of("key:none", "getPrice") is None


async def test_a_broken_file_leaves_in_force_what_was(auth, add_key, file):
    text, _ = add_key(Role.METRICS)
    await auth.identify(f"Bearer {text}", "1.1.1.1")
    file.write_text("{")
    assert await auth.identify(f"Bearer {text}", "1.1.1.1")
    file.unlink()
    assert await auth.identify(f"Bearer {text}", "1.1.1.1")


async def test_without_a_file_nobody_is_known():
    auth = Auth(None, Table(None), token_ttl_s=900, now_ms=lambda: 0)
    assert await code_of(auth.identify("Bearer pv_a_b", "1.1.1.1")) is Code.UNAUTHORIZED
    assert await code_of(auth.log_in("", "", "1.1.1.2")) is Code.UNAUTHORIZED
    await trio.lowlevel.checkpoint()
