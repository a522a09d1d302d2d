"""The page at `/` and its files: read once, served from memory, allowed to load nothing but themselves."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
SECURITY: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    headers: Mapping[str, str]
    etag: str


def assets() -> dict[str, Asset]:
    """Return path → file of everything that makes the page."""
    found = {}
    for entry in resources.files("priceverse.web").iterdir():
        kind = TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if kind is not None:
            found["/" if entry.name == INDEX else f"/{entry.name}"] = _asset(entry.read_bytes(), kind)
    return found


def _asset(body: bytes, kind: str) -> Asset:
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, {"Content-Type": kind, "Cache-Control": "no-cache", "ETag": f'"{etag}"', **SECURITY}, etag)
