"""Who asks, and what they may see: API keys, passwords, and the tokens that stand for them for a while.

    Authorization: Bearer pv_<id>_<secret>     an API key
    Authorization: Bearer pvt_<payload>.<mac>  a token: who, until when, signed; whom it names must still be in the file

Hashing is slow on purpose, so it is done in a thread, one at a time, once for each key; what was found good is known by
its digest until the file changes. The rule: every attempt is charged to its address and its name before it is hashed,
so that guessing is slower still; a good one is forgiven.
"""

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import trio

from priceverse.api.limits import Limits, Table
from priceverse.config import credentials
from priceverse.config.credentials import ApiKey, Credentials, CredentialsError, Role, User
from priceverse.log import get_logger
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit

__all__ = ["Auth", "Identity", "Role", "Token"]

ATTEMPTS = Limit(5, 300)
TOKEN_PREFIX = "pvt_"  # noqa: S105 - the kind, not a secret
LOOK_S = 1.0
"""The file is looked at this often: a key that was revoked is good for no longer."""

MAX_KNOWN = 1024
MAX_SECRET_CHARS = 256

log = get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody in the file: `key:<id>` or `user:<name>`."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Tell whether this identity has a role."""
        return role in self.roles or Role.ADMIN in self.roles


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; `expires_ms` on the wall clock."""

    text: str
    expires_ms: int
    identity: Identity


class _Payload(msgspec.Struct, array_like=True):
    name: str
    expires_ms: int


@dataclass(slots=True)
class _Known:
    """The file as it was last read, and what was found good by it."""

    credentials: Credentials
    version: tuple[int, int, int] | None = None
    good: dict[bytes, str] = field(default_factory=dict)


class Auth:
    """The door. Without a file nobody is known. `on_change` hears that the file has been read anew."""

    def __init__(self, file: Path | None, table: Table, *, token_ttl_s: int, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._table = table
        self._attempts = Limits(table, {})
        self.ttl_s = token_ttl_s
        self._now_ms = now_ms
        self._known = _Known(credentials.empty())
        self._looked_s = float("-inf")
        self.on_change: Callable[[], None] = lambda: None
        self._hashing = trio.CapacityLimiter(1)

    async def identify(self, authorization: str, address: str) -> Identity | None:
        """Return who sends this header; nobody if it is no bearer's. Raises CallError for a bearer who is not known."""
        scheme, _, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        bearer = bearer.strip()
        name = self._of_token(bearer) if bearer.startswith(TOKEN_PREFIX) else await self._of_key(bearer, address)
        return self._identity(name)

    async def log_in(self, user: str, password: str, address: str) -> Token:
        """Return a token for a user. Raises CallError UNAUTHORIZED, or TOO_MANY_REQUESTS after too many attempts."""
        found = next((each for each in self._current().users if each.name == user), None)
        await self._check(f"user:{user}", password, found, address)
        return self._token(f"user:{user}")

    async def exchange(self, key: str, address: str) -> Token:
        """Return a token for an API key. Raises as `log_in` does."""
        return self._token(await self._of_key(key, address))

    def limit_of(self, client: str, method: str) -> int | None:
        """Return the calls in 60 s that the file grants a client."""
        found = self._find(client)
        return found.limits.get(method) if found else None

    async def _of_key(self, key: str, address: str) -> str:
        digest = sha256(key.encode()).digest()
        current = self._current()
        known = self._known.good.get(digest)
        if known is not None:
            return known
        if not key.startswith(credentials.KEY_PREFIX):
            raise _unknown()
        key_id, _, secret = key.removeprefix(credentials.KEY_PREFIX).partition("_")
        found = next((each for each in current.keys if each.id == key_id), None)
        await self._check(f"key:{key_id}", secret, found, address)
        if len(self._known.good) >= MAX_KNOWN:
            self._known.good.clear()
        if self._known.credentials is current:
            self._known.good[digest] = f"key:{key_id}"
        return f"key:{key_id}"

    async def _check(self, name: str, secret: str, found: ApiKey | User | None, address: str) -> None:
        """Compare a secret with its hash, at a price. Raises CallError UNAUTHORIZED, TOO_MANY_REQUESTS."""
        charged = [(address, "attempt"), (name, "attempt")]
        for client, method in charged:
            quota = self._attempts.take(client, method, ATTEMPTS)
            if quota.wait_s:
                message = "Too many attempts, wait before the next"
                raise CallError(Code.TOO_MANY_REQUESTS, message, retry_after_s=quota.wait_s)
        stored = found.hash if found else _nobodys()
        compare = partial(credentials.matches, secret[:MAX_SECRET_CHARS], stored)
        is_right = await trio.to_thread.run_sync(compare, limiter=self._hashing)
        if not is_right or found is None:
            log.warning("login_refused", name=name[:64], client=address)
            raise _unknown()
        for client, method in charged:
            self._table.forgive(client, method)

    def _token(self, name: str) -> Token:
        payload = _Payload(name, self._now_ms() + self.ttl_s * 1000)
        text = _base64(msgspec.json.encode(payload))
        identity = self._identity(name)
        return Token(f"{TOKEN_PREFIX}{text}.{self._mac(text)}", payload.expires_ms, identity)

    def _of_token(self, token: str) -> str:
        text, _, mac = token.removeprefix(TOKEN_PREFIX).partition(".")
        if not hmac.compare_digest(self._mac(text).encode(), mac.encode()):
            raise _unknown()
        payload = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Payload)  # ours: it has our signature
        if payload.expires_ms <= self._now_ms():
            raise CallError(Code.UNAUTHORIZED, "The token has expired")
        return payload.name

    def _mac(self, text: str) -> str:
        secret = self._current().token_secret.encode()
        return _base64(hmac.digest(secret, text.encode(), "sha256"))

    def _identity(self, name: str) -> Identity:
        found = self._find(name)
        if found is None:  # revoked since
            raise _unknown()
        return Identity(name, frozenset(found.roles))

    def _find(self, client: str) -> ApiKey | User | None:
        kind, _, name = client.partition(":")
        current = self._current()
        if kind == "key":
            return next((each for each in current.keys if each.id == name), None)
        return next((each for each in current.users if each.name == name), None) if kind == "user" else None

    def _current(self) -> Credentials:
        """Return what the file says now; what it said before when it cannot be read."""
        now_s = time.monotonic()
        if self._file is None or now_s - self._looked_s < LOOK_S:
            return self._known.credentials
        self._looked_s = now_s
        try:
            status = self._file.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version != self._known.version:
                self._known = _Known(credentials.load(self._file), version)
                self.on_change()
        except FileNotFoundError:  # nobody has been let in yet, or somebody is about to replace it
            pass
        except (OSError, CredentialsError) as fault:
            log.warning("credentials_unreadable", error=str(fault))
        return self._known.credentials


def _unknown() -> CallError:
    return CallError(Code.UNAUTHORIZED, "These credentials are not known")


def _nobodys() -> str:
    """Return a hash that nothing has: an unknown name must take as long as a known one."""
    return f"scrypt${credentials.SCRYPT_N}${credentials.SCRYPT_R}${credentials.SCRYPT_P}$AAAA$AAAA"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
