"""The page at `/` and its files: read once, served from memory, allowed to load nothing but themselves.

The chart library is not ours: `priceverse.web.fetch` brings it. Where it is not there, an empty module stands in for it
and the page says what is missing.
"""

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
    ".txt": "text/plain; charset=utf-8",
}
FETCHED: Mapping[str, tuple[str, bytes]] = MappingProxyType(
    {
        "/lightweight-charts.js": ("dist/lightweight-charts.standalone.production.mjs", b"export {};\n"),
        "/lightweight-charts.LICENSE.txt": ("LICENSE", b"The chart library is not installed here.\n"),
    }
)
"""Path → file of the chart library, and what is served without it."""

LIBRARY = "node_modules/lightweight-charts"
INDEX = "index.html"
UNSERVED = frozenset({"npm.txt"})
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
    folder = resources.files("priceverse.web")
    found = {}
    for entry in folder.iterdir():
        kind = TYPES.get(_suffix(entry.name))
        if kind is not None and entry.name not in UNSERVED:
            found["/" if entry.name == INDEX else f"/{entry.name}"] = _asset(entry.read_bytes(), kind)
    for path, (name, instead) in FETCHED.items():
        file = folder.joinpath(LIBRARY, name)
        found[path] = _asset(file.read_bytes() if file.is_file() else instead, TYPES[_suffix(path)])
    return found


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2]}"


def _asset(body: bytes, kind: str) -> Asset:
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, {"Content-Type": kind, "Cache-Control": "no-cache", "ETag": f'"{etag}"', **SECURITY}, etag)
