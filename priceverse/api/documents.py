"""What tells of the service instead of prices: `/metrics`, `/openapi.json`, `/discover`.

The metrics are the instance's and the root has them: a handler asks it over its socket. The rule: what is not for
everybody is shown to bearers of its role only.
"""

from collections.abc import Callable
from pathlib import Path

import h11
import trio
from quart import Response, request
from quart_trio import QuartTrio

from priceverse import __version__
from priceverse.api import answers
from priceverse.api.auth import Role
from priceverse.api.openapi import document
from priceverse.api.tree import TreeView
from priceverse.config.settings import Settings
from priceverse.metrics import listener
from priceverse.rpc.discover import describe
from priceverse.rpc.endpoint import NO_STORE, Endpoint
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.registry import Registry

METRICS_TIMEOUT_S = 5.0
_AWAY = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError)

Permits = Callable[[str, Role], bool]
"""Whether credentials, as they stand in the header `Authorization`, open what a role opens."""


def nobody(authorization: str, role: Role) -> bool:  # noqa: ARG001 - a `Permits`
    """Open nothing."""
    return False


class Documents:
    """Answers them."""

    def __init__(self, settings: Settings, registry: Registry, endpoint: Endpoint, permits: Permits) -> None:
        self._endpoint = endpoint
        self._permits = permits
        self._metrics: Path = settings.metrics_socket
        self._tree_path = f"{settings.health.path}/tree" if settings.health.enabled else ""
        self._tree = TreeView(self._metrics, endpoint)
        self._is_public = settings.api.openapi_public
        self._openapi = document(registry, settings)
        self._discovered = _discovered(registry, settings)

    def add_to(self, app: QuartTrio) -> None:
        """Serve them."""
        app.add_url_rule("/metrics", "metrics", self.metrics)
        app.add_url_rule("/openapi.json", "openapi", self.openapi)
        app.add_url_rule("/discover", "discover", self.discover)
        if self._tree_path:
            app.add_url_rule(self._tree_path, "tree", self._tree.view)

    async def discover(self) -> Response:
        """Answer services, methods and limits."""
        return answers.json(self._discovered)

    async def openapi(self) -> Response:
        """Answer the OpenAPI document."""
        if self._is_public or self._permits(_authorization(), Role.DOCS):
            return answers.json(self._openapi)
        return self._unauthorized(Role.DOCS)

    async def metrics(self) -> Response:
        """Answer the metrics of the whole instance, in the form that the client accepts."""
        if not self._permits(_authorization(), Role.METRICS):
            return self._unauthorized(Role.METRICS)
        try:
            with trio.fail_after(METRICS_TIMEOUT_S):
                asked = listener.at(str(self._metrics))
                page = await listener.fetch(asked, "/metrics", request.headers.get("Accept", ""))
        except (*_AWAY, trio.TooSlowError):
            return answers.refused(self._endpoint, CallError(Code.OVERLOADED, "The supervisor does not answer"))
        headers = dict([NO_STORE, answers.NOSNIFF])
        return Response(page.body, page.status, headers=headers, content_type=page.content_type)

    def _unauthorized(self, role: Role) -> Response:
        error = CallError(Code.UNAUTHORIZED, f"This needs a bearer with the role {role}", {"role": role})
        return answers.refused(self._endpoint, error)


def _authorization() -> str:
    return request.headers.get("Authorization", "")


def _discovered(registry: Registry, settings: Settings) -> dict[str, object]:
    return {
        "name": settings.app.name,
        "version": __version__,
        "services": describe(registry),
        "health": settings.health.path if settings.health.enabled else None,
        "limits": {
            "maxPriceAgeMs": settings.api.max_price_age_ms,
            "maxBatch": settings.api.max_batch,
            "maxBodyBytes": settings.api.max_body_bytes,
            "timeoutMs": round(settings.api.timeout_s * 1000),
        },
    }
