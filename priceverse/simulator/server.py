"""The socket: one listener, HTTP by h11, WebSockets by wsproto on the same connection. It moves bytes, others decide.

Both libraries are sans-IO, so an upgrade is a value handed from one to the other, and the frames of one moment leave in
one write. The rule: whatever a client does ends its connection only.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

import h11
import trio
import wsproto
from wsproto.events import AcceptConnection
from wsproto.utilities import RemoteProtocolError

from priceverse.log import get_logger
from priceverse.simulator import routes
from priceverse.simulator.connection import Connection
from priceverse.simulator.faults import Kind
from priceverse.simulator.hub import Hub
from priceverse.simulator.venues.protocol import Request, Response, reply

MAX_BODY_BYTES = 1 << 16
IDLE_S = 75.0
RECEIVE_BYTES = 1 << 14

Clock = Callable[[], int]


class Server:
    """Serves clients of one hub."""

    def __init__(self, hub: Hub, now_ns: Clock, *, is_secure: bool = False) -> None:
        self._hub = hub
        self._now_ns = now_ns
        self._is_secure = is_secure

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection to its end."""
        async with stream:
            try:
                await self._converse(stream, h11.Connection(h11.SERVER))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def _converse(self, stream: trio.abc.Stream, http: h11.Connection) -> None:
        """Answer requests one after the other, until one upgrades, is the last, or makes no sense."""
        while True:
            try:
                with trio.move_on_after(IDLE_S) as patience:
                    head, body = await _receive(stream, http)
                if patience.cancelled_caught or head is None:
                    return
            except h11.RemoteProtocolError as error:
                await _send(stream, http, reply({"error": str(error)}, status=error.error_status_hint))
                return
            request = _request(head, body, is_secure=self._is_secure)
            if request.headers.get("upgrade", "").lower() == "websocket":
                refusal = await self._upgrade(stream, http, head, request)
                if refusal is None:
                    return
                await _send(stream, http, refusal)
            else:
                await _send(stream, http, routes.respond(request, self._hub, self._now_ns()))
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _upgrade(
        self, stream: trio.abc.Stream, http: h11.Connection, head: h11.Request, request: Request
    ) -> Response | None:
        """Speak WebSocket until it ends; return a response instead if the handshake is to be refused."""
        opened = routes.upgrade(request, self._hub, self._now_ns())
        if isinstance(opened, Response):
            return opened
        exchange, session = opened
        websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        try:
            websocket.initiate_upgrade_connection(list(head.headers), head.target)
        except RemoteProtocolError as error:
            return reply({"error": str(error)}, status=400)
        list(websocket.events())  # the request, which is known
        await stream.send_all(websocket.send(AcceptConnection()))
        websocket.receive_data(http.trailing_data[0])
        if self._hub.faults.find(Kind.ACCEPT_THEN_CLOSE, exchange, self._now_ns()):
            return None
        connection = Connection(
            stream, websocket, session, exchange=exchange, faults=self._hub.faults, now_ns=self._now_ns
        )
        await self._hub.serve(connection)
        if connection.slow:
            get_logger().warning("slow_client_cut", exchange=exchange.value)
        return None


async def _receive(stream: trio.abc.Stream, http: h11.Connection) -> tuple[h11.Request | None, bytes]:
    """Return the next request with its body; None at the end of the connection. Raises h11.RemoteProtocolError."""
    head: h11.Request | None = None
    body = b""
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(RECEIVE_BYTES)))
            case h11.Request() as request:
                head = request
            case h11.Data(data=data):
                body += data
                if len(body) > MAX_BODY_BYTES:
                    raise h11.RemoteProtocolError("body too large", error_status_hint=413)
            case h11.EndOfMessage():
                return head, body
            case _:
                return None, b""


async def _send(stream: trio.abc.Stream, http: h11.Connection, response: Response) -> None:
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers = [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *response.headers,
    ]
    parts = (
        h11.Response(status_code=response.status, headers=headers),
        h11.Data(data=response.body),
        h11.EndOfMessage(),
    )
    await stream.send_all(b"".join(http.send(part) or b"" for part in parts))


def _request(head: h11.Request, body: bytes, *, is_secure: bool) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(path),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
        is_secure=is_secure,
    )
