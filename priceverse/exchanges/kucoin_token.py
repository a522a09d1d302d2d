"""KuCoin's handshake: the reply to `POST /api/v1/bullet-public` → where to connect, with which token, ping interval.

The reply decides where this process connects to, so it is believed only as far as KuCoin's own hosts: `wss` on
kucoin.com, or, when the REST base itself is on loopback (the simulator), loopback too, with TLS as there. No error
quotes the token.
"""

import re
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from priceverse.exchanges import frames
from priceverse.exchanges.protocol import Endpoint, PreludeError

PATH = "/api/v1/bullet-public"
_OK = "200000"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LOCAL_SCHEMES = {"http": "ws", "https": "wss"}
_SHORTEST_PING_MS, _LONGEST_PING_MS = 1_000, 120_000


class _Server(msgspec.Struct, rename={"ping_interval_ms": "pingInterval"}):
    endpoint: str
    ping_interval_ms: int


class _Token(msgspec.Struct, rename={"servers": "instanceServers"}):
    token: str
    servers: list[_Server]


class _Reply(msgspec.Struct):
    code: str
    msg: str = ""
    data: _Token | None = None


_PRINTABLE = re.compile(r"[!-~]+").fullmatch
_DECODER = msgspec.json.Decoder(_Reply)


def local_scheme(rest_url: str) -> str:
    """Return the scheme of an endpoint on this machine that is believed because `rest_url` is on it; "" for none."""
    parts = _split(rest_url)
    return _LOCAL_SCHEMES.get(parts.scheme, "") if parts is not None and parts.hostname in _LOOPBACK else ""


def endpoint(reply: bytes, connect_id: str, *, local: str) -> Endpoint:
    """Return the endpoint that the reply names; `local` is of `local_scheme`. Raises PreludeError."""
    token = _token(reply)
    server = token.servers[0]
    if not (_is_kucoin(server.endpoint) or _is_local(server.endpoint, local)):
        raise PreludeError(f"endpoint is not wss on a kucoin.com host: {frames.shown(server.endpoint)}")
    if not _SHORTEST_PING_MS <= server.ping_interval_ms <= _LONGEST_PING_MS:
        raise PreludeError(f"absurd pingInterval: {frames.shown(server.ping_interval_ms)} ms")
    where = urlsplit(server.endpoint)
    secret = quote(token.token, safe="")
    url = f"{where.scheme}://{where.netloc}{where.path or '/'}?token={secret}&connectId={quote(connect_id, safe='')}"
    return Endpoint(url, secret, server.ping_interval_ms / 1000, wait_welcome=True)


def _token(reply: bytes) -> _Token:
    text = frames.text_of(reply)
    try:
        answer = _DECODER.decode(text if isinstance(text, str) else b"")
    except frames.FAULTS:
        told = "not a token reply: expected JSON with code, data.token and data.instanceServers"
        raise PreludeError(told) from None
    if answer.code != _OK:
        raise PreludeError(f"token refused: {frames.shown(answer.code, answer.msg)}")
    if answer.data is None or not answer.data.token or not answer.data.servers:
        raise PreludeError("token reply without a token or a server")
    return answer.data


def _is_kucoin(url: str) -> bool:
    parts = _split(url)
    if parts is None or parts.scheme != "wss" or parts.username is not None or parts.query or parts.fragment:
        return False
    host = parts.hostname or ""
    return host == "kucoin.com" or host.endswith(".kucoin.com")


def _is_local(url: str, scheme: str) -> bool:
    parts = _split(url)
    return parts is not None and bool(scheme) and parts.scheme == scheme and parts.hostname in _LOOPBACK


def _split(url: str) -> SplitResult | None:
    if not _PRINTABLE(url):  # urlsplit would pass over what does not belong there
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts
