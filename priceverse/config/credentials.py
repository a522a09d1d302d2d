"""The secrets file: API keys and users with their roles, and the secret that signs tokens. Read by the API's handlers.

Of keys and passwords only the hashes are in it (scrypt); the signing secret is, so the file is for its owner only.
The rule: the file is replaced, never written in place, and what is in it is exactly what is declared here.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
SECRET_BYTES = 24
KEY_PREFIX = "pv_"


class Role(StrEnum):
    """What credentials open; ADMIN opens everything."""

    METRICS = "metrics"
    DOCS = "docs"
    ADMIN = "admin"


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key: what is shown to its owner once is `pv_<id>_<secret>`. `limits` are its calls in 60 s by method."""

    id: str
    name: str
    roles: tuple[Role, ...]
    hash: str
    created: str
    limits: dict[str, int] = {}


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A person who logs in with a password."""

    name: str
    roles: tuple[Role, ...]
    hash: str
    limits: dict[str, int] = {}


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    token_secret: str
    keys: tuple[ApiKey, ...] = ()
    users: tuple[User, ...] = ()


Edit = Callable[[Credentials], Credentials]


class CredentialsError(Exception):
    """The file cannot be read, or is not one of ours: the text says why."""


def empty() -> Credentials:
    """Return credentials that let nobody in."""
    return Credentials(token_secret=secrets.token_urlsafe(32))


def load(path: Path) -> Credentials:
    """Read the file. Raises CredentialsError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise CredentialsError(f"{path}: {fault}") from None


def change(path: Path, edit: Edit) -> Credentials:
    """Edit the file, made if there is none, and return what it holds now. Raises CredentialsError, OSError."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        edited = edit(load(path) if path.exists() else empty())
        _replace(path, msgspec.json.format(msgspec.json.encode(edited)) + b"\n")
    return edited


def new_key(name: str, roles: tuple[Role, ...], created: str, limits: dict[str, int]) -> tuple[ApiKey, str]:
    """Return a new key and the text that its owner needs, which nobody can tell again."""
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(SECRET_BYTES)
    return ApiKey(key_id, name, roles, hashed(secret), created, limits), f"{KEY_PREFIX}{key_id}_{secret}"


def hashed(secret: str) -> str:
    """Return the hash of a secret with its salt and parameters. Takes some 40 ms and 16 MiB, on purpose."""
    salt = secrets.token_bytes(16)
    parts = (SCRYPT_N, SCRYPT_R, SCRYPT_P, _text(salt), _text(_scrypt(secret, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)))
    return "$".join(("scrypt", *map(str, parts)))


def matches(secret: str, stored: str) -> bool:
    """Tell whether a secret has this hash, in a time that does not depend on where they differ."""
    try:
        kind, n, r, p, salt, digest = stored.split("$")
        found = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _replace(path: Path, content: bytes) -> None:
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:  # mkstemp: for its owner only
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
