"""What every answer of the application gets at last: who may read it, how it is correlated, compression.

The rule: the calls of `/netron` get no byte but from their endpoint, so that both lanes say the same; their headers may
differ where the request did, for the fast lane takes no request that names an origin.
"""

from http import HTTPStatus

from quart import Response, request
from quart_trio import QuartTrio

from priceverse.api import answers, gzip
from priceverse.api.cors import METHODS, Cors
from priceverse.config.settings import Api
from priceverse.rpc.endpoint import correlation

CALLS = "/netron/"
EMPTY = frozenset({204, 304})
"""An answer without a body says nothing of one: a length of 0 would be that of the answer that the client keeps."""


def add_to(app: QuartTrio, settings: Api) -> None:
    """Let `app` answer what browsers ask beforehand, and finish its answers."""
    cors = Cors(settings.cors_origins)

    @app.before_request
    async def preflight() -> Response | None:
        if request.method != "OPTIONS":
            return None
        response = Response(b"", 204)
        response.headers["Allow"] = METHODS
        response.headers.extend(cors.on_preflight(request.headers.get("Origin", "")))
        return response

    @app.after_request
    async def finish(response: Response) -> Response:
        if request.method != "OPTIONS":
            response.headers.extend(cors.on_answer(request.headers.get("Origin", "")))
        for name, value in correlation(answers.head()):
            response.headers.setdefault(name, value)
        if not request.path.startswith(CALLS):
            await _compress(response, settings.gzip_min_bytes)
        if response.status_code in EMPTY:
            del response.headers["Content-Length"], response.headers["Content-Type"]
        return response


async def _compress(response: Response, min_bytes: int) -> None:
    size_bytes = response.content_length or 0
    if response.status_code == HTTPStatus.NOT_MODIFIED:  # varies as what it stands for
        response.headers.add("Vary", "Accept-Encoding")
    if response.status_code != HTTPStatus.OK or not gzip.is_worth_it(
        response.content_type or "", size_bytes, min_bytes
    ):
        return
    response.headers.add("Vary", "Accept-Encoding")
    if gzip.is_wanted(request.headers.get("Accept-Encoding", "")):
        response.set_data(await gzip.compress(await response.get_data(as_text=False)))
        response.headers["Content-Encoding"] = "gzip"
