"""Who asks: the first thing that happens to a request of the application, and the door at which tokens are given out.

    POST /netron/authenticate   {"username", "password"} or {"apiKey"} → a bearer token

The rule: credentials that are not known are refused wherever they are shown, also where none are needed; a client that
mistypes its key is to learn that before it wonders about its limits.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from quart import Response, g, request
from quart_trio import QuartTrio

from priceverse.api import answers
from priceverse.api.auth import Auth, Identity, Role, Token
from priceverse.api.callers import Callers
from priceverse.api.heads import head_of
from priceverse.clock import iso_ms
from priceverse.rpc import strict
from priceverse.rpc.endpoint import Endpoint, Head
from priceverse.rpc.envelope import Done, Fields, Outcome, Request, bad_request, new_id, salvage
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.strict import MalformedError


class _Credentials(msgspec.Struct, rename="camel"):
    username: str | None = None
    password: str | None = None
    api_key: str | None = None


class _Login(Fields, kw_only=True, rename="camel"):
    credentials: _Credentials | None = None
    username: str | None = None
    password: str | None = None
    api_key: str | None = None


_logins = msgspec.json.Decoder(_Login)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends the present request: the client that is charged, its address, and who it has shown to be."""

    client: str
    address: str
    identity: Identity | None


class Gate:
    """Asks every request who sends it."""

    def __init__(self, auth: Auth, callers: Callers, endpoint: Endpoint) -> None:
        self._auth = auth
        self._callers = callers
        self._endpoint = endpoint

    def add_to(self, app: QuartTrio) -> None:
        """Stand before everything in `app`."""
        app.before_request(self._ask)
        app.add_url_rule("/netron/authenticate", "authenticate", self.authenticate, methods=["POST"])

    @staticmethod
    def permits(authorization: str, role: Role) -> bool:  # noqa: ARG004 - a `Permits`; it was read when the request came
        """Tell whether the present request may see what a role opens."""
        identity: Identity | None = g.caller.identity
        return identity is not None and identity.may(role)

    async def identify(self, scope: Any) -> Head:  # noqa: ANN401 - ASGI's dictionary
        """Return whose handshake it is. Raises CallError for credentials that are not known."""
        fields: dict[str, str] = {}
        for name, value in scope["headers"]:
            known = fields.get(key := name.decode("latin1").lower())
            fields[key] = value.decode("latin1") if known is None else f"{known},{value.decode('latin1')}"
        address = self._callers.client((scope.get("client") or ("",))[0], fields.get("x-forwarded-for", ""))
        identity = await self._auth.identify(fields.get("authorization", ""), address)
        return head_of(identity.name if identity else address, fields)

    async def authenticate(self) -> Response:
        """Give out a token."""
        body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        asked, given = _read(body)
        outcome: Outcome
        try:
            outcome = Done(_shown(await self._log_in(given), self._auth.ttl_s))
        except CallError as error:
            outcome = error
        return answers.response(self._endpoint.reply(asked, outcome, answers.head()))

    async def _log_in(self, given: _Credentials | CallError) -> Token:
        if isinstance(given, CallError):
            raise given
        address = g.caller.address
        if given.api_key is not None:
            return await self._auth.exchange(given.api_key, address)
        if given.username is None or given.password is None:
            raise CallError(Code.BAD_REQUEST, "Bad request: `username` and `password`, or `apiKey`", {"path": "$"})
        return await self._auth.log_in(given.username, given.password, address)

    async def _ask(self) -> Response | None:
        forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
        address = self._callers.client(request.remote_addr or "", forwarded)
        g.caller = Caller(address, address, None)
        if request.path == "/netron/authenticate":
            return None
        try:
            identity = await self._auth.identify(request.headers.get("Authorization", ""), address)
        except CallError as error:
            return answers.refused(self._endpoint, error)
        if identity is not None:
            g.caller = Caller(identity.name, address, identity)
        return None


def _read(body: bytes) -> tuple[Request, _Credentials | CallError]:
    """Return who asks for a token, and what for; or why that cannot be told."""
    try:
        strict.check(body)
        login = strict.decode(_logins, body)
    except MalformedError as fault:
        request_id, version = salvage(body, new_id())
        return Request(request_id, version, None, bad_request(fault)), bad_request(fault)
    given = login.credentials or _Credentials(login.username, login.password, login.api_key)
    asked = Request(login.id or new_id(), login.version or "2.0", None, CallError(Code.UNAUTHORIZED, ""))
    return asked, given


def _shown(token: Token, ttl_s: int) -> dict[str, object]:
    return {
        "token": token.text,
        "tokenType": "Bearer",
        "expiresIn": ttl_s,
        "expiresAt": iso_ms(token.expires_ms),
        "roles": sorted(token.identity.roles),
    }
