"""Hypercorn's voice in our log. Requests are counted, not logged, unless they failed on our side or were slow."""

from typing import Any

from hypercorn.logging import Logger

from priceverse.log import get_logger

SLOW_S = 1.0
STREAM = "/stream/"

log = get_logger()


class AccessLog(Logger):
    """What `Config.logger_class` wants."""

    def __init__(self, config: object) -> None:  # noqa: ARG002 - Hypercorn hands its configuration to its logger
        self.error_logger = None
        self.access_logger = None

    async def access(self, request: Any, response: Any, request_time: float) -> None:  # noqa: ANN401 - ASGI's dicts
        """Log a request that ended badly or late; a stream is meant to be long, a client that leaves is no fault."""
        if response is None:
            return
        status = int(response["status"])
        slow = request_time > SLOW_S and not request["path"].startswith(STREAM)
        if status >= 500 or slow:  # 503 too: somebody did not get a price
            log.warning(
                "request_failed" if status >= 500 else "request_slow",
                method=request["method"],
                path=request["path"],
                status=status,
                took_s=round(request_time, 3),
                client=(request.get("client") or ("",))[0],
            )

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log a complaint of Hypercorn's."""
        log.warning("http_server", message=message)

    async def error(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log a fault of Hypercorn's."""
        log.error("http_server", message=message)

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log an exception that left the application."""
        log.error("application_failed", message=message, exc_info=True)  # noqa: LOG014 - called inside its handler
