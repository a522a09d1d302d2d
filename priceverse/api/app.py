"""The application: which path is answered by what. Quart carries it; every answer is made elsewhere.

POST /netron/authenticate            gate
POST /netron/invoke, /netron/batch   endpoint            GET /health, /health/live, /health/ready   HealthService
GET /v2/…                            v2                  GET /udf/…                                 udf
GET /stream/prices                   stream              GET /metrics, /openapi.json, /discover     documents
GET / and the page's files           page                anything else                              an error envelope
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from priceverse.api import answers, finish
from priceverse.api.broadcast import Broadcast
from priceverse.api.documents import Documents
from priceverse.api.gate import Gate
from priceverse.api.page import Asset, assets
from priceverse.api.seats import Seats
from priceverse.api.stream import Past, PriceStream
from priceverse.api.udf import Udf
from priceverse.api.v2 import Reads
from priceverse.config.settings import Settings
from priceverse.log import get_logger
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import NO_STORE, Endpoint, Head, HttpReply
from priceverse.rpc.envelope import Call, Done
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Ports
from priceverse.rpc.registry import Registry
from priceverse.services import health
from priceverse.services.quotes import check_pair

BODY_TIMEOUT_S = 10
OF_STATUS: Mapping[int, Code] = {
    code.status: code
    for code in (
        Code.BAD_REQUEST,
        Code.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED,
        Code.TIMEOUT,
        Code.TOO_LARGE,
        Code.UNSUPPORTED_TYPE,
        Code.INTERNAL,
    )
}
"""What Quart refuses by itself, by its status."""

log = get_logger()


class Application(QuartTrio):
    """Quart with our log."""

    def log_exception(self, *told: Any) -> None:  # noqa: ANN401 - ends in sys.exc_info(), in two shapes
        """Log what a view let through: a fault of ours, answered with INTERNAL.

        Quart before 0.23 tells the fault only, later ones, which are for Python 3.13, the request's context before it.
        """
        log.error("view_failed", path=request.path, exc_info=told[-1])


def create(
    settings: Settings,
    *,
    registry: Registry,
    ports: Ports,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    broadcast: Broadcast,
    gate: Gate,
    seats: Seats,
) -> Application:
    """Return the application. The gate knows who sends a request, and what they may see."""
    app = Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_body_bytes
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.config["PROPAGATE_EXCEPTIONS"] = False
    gate.add_to(app)
    _add_rpc(app, endpoint)
    _add_stream(app, endpoint, ports, broadcast, seats)
    Reads(dispatcher, endpoint, ports).add_to(app)
    Udf(dispatcher, ports).add_to(app)
    Documents(settings, registry, endpoint, gate.permits).add_to(app)
    if settings.health.enabled:
        _add_health(app, dispatcher, settings.health.path)
    for path, asset in assets().items():
        app.add_url_rule(path, f"page {path}", _asset_view(asset))
    _add_errors(app, endpoint)
    finish.add_to(app, settings.api)
    return app


def _add_rpc(app: Application, endpoint: Endpoint) -> None:
    @app.post("/netron/invoke")
    async def invoke() -> Response:
        return await _answer(endpoint, endpoint.invoke)

    @app.post("/netron/batch")
    async def batch() -> Response:
        return await _answer(endpoint, endpoint.batch)


async def _answer(endpoint: Endpoint, door: Callable[[bytes, Head], Awaitable[HttpReply]]) -> Response:
    fault = _type_refusal()
    if fault is not None:
        return answers.refused(endpoint, fault)
    body: bytes = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return answers.response(await door(body, answers.head()))


def _type_refusal() -> CallError | None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"}:
        return CallError(Code.UNSUPPORTED_TYPE, "Content-Type must be application/json in UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return CallError(Code.UNSUPPORTED_TYPE, "Content-Encoding is not supported")
    return None


def _add_stream(app: Application, endpoint: Endpoint, ports: Ports, broadcast: Broadcast, seats: Seats) -> None:
    @app.get("/stream/prices")
    async def stream_prices() -> Response:
        asked = [pair for given in request.args.getlist("pairs") for pair in given.split(",") if pair]
        try:
            for pair in asked:
                check_pair(pair, ports)
            seats.check(client := answers.head().client)
        except CallError as error:
            return answers.refused(endpoint, error)
        pairs = frozenset(asked or ports.pairs.listed)
        last_id = request.headers.get("Last-Event-ID", "")
        stream = PriceStream(broadcast, pairs, seats, client, past=_past_hypercorn(), last_id=last_id)
        response = Response(b"" if request.method == "HEAD" else stream, content_type="text/event-stream")
        response.headers.extend([NO_STORE, ("X-Accel-Buffering", "no"), answers.NOSNIFF])
        response.timeout = None
        return response


def _past_hypercorn() -> Past | None:
    """Return the way past Hypercorn for a body in chunks; older clients take none."""
    state: Any = request.scope.get("state") or {}
    return Past(state["write"], state["write_now"]) if "write" in state and request.http_version == "1.1" else None


def _add_health(app: Application, dispatcher: Dispatcher, path: str) -> None:
    """Serve the methods of HealthService as plain replies whose status a balancer understands."""
    views = {path: ("check", "unhealthy"), f"{path}/live": ("live", ""), f"{path}/ready": ("ready", "not_ready")}
    for each, (method, bad) in views.items():
        app.add_url_rule(each, f"health {method}", _health_view(dispatcher, method, bad))


def _health_view(dispatcher: Dispatcher, method: str, bad: str) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        outcome = await dispatcher.run(Call(health.SERVICE, method, b""))
        if isinstance(outcome, Done):
            return answers.json(outcome.data, 503 if getattr(outcome.data, "status", None) == bad else 200)
        return answers.json({"status": bad, "message": outcome.message}, 503)

    return view


def _asset_view(asset: Asset) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        response = Response(asset.body, headers=dict(asset.headers))
        if request.if_none_match.contains_weak(asset.etag):
            response = Response(b"", 304, headers=dict(asset.headers))
        return response

    return view


def _add_errors(app: Application, endpoint: Endpoint) -> None:
    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        code = OF_STATUS.get(error.code or 500, Code.INTERNAL)
        response = answers.refused(endpoint, CallError(code, error.name))
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response
