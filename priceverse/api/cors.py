"""Which web pages of others may read us: CORS, as configured. Pure.

The rule: no credentials are ever allowed across origins, so `*` is safe for what everybody may see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Header = tuple[str, str]

MAX_AGE_S = 86_400
METHODS = "GET, HEAD, POST, OPTIONS"
_ALLOWED = "Accept, Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-ID, X-Trace-ID, traceparent"
_EXPOSED = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Netron-Version, X-Request-ID, X-Trace-ID, traceparent"
_VARY = ("Vary", "Origin")


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins whose pages may read answers; `*` among them means all."""

    origins: Sequence[str]

    def on_answer(self, origin: str) -> list[Header]:
        """Return what an answer to a page of `origin` ("" if it names none) says."""
        allowed = self._allowed(origin)
        exposed = [("Access-Control-Expose-Headers", _EXPOSED)] if allowed and origin else []
        return [*allowed, *exposed, *([] if "*" in self.origins or not self.origins else [_VARY])]

    def on_preflight(self, origin: str) -> list[Header]:
        """Return what a browser that asks beforehand is told; nothing for an origin that may not."""
        allowed = self._allowed(origin)
        if not allowed:
            return []
        return [
            *allowed,
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", _ALLOWED),
            ("Access-Control-Max-Age", str(MAX_AGE_S)),
        ]

    def _allowed(self, origin: str) -> list[Header]:
        if not origin:
            return []
        if "*" in self.origins:
            return [("Access-Control-Allow-Origin", "*")]
        return [("Access-Control-Allow-Origin", origin)] if origin in self.origins else []
