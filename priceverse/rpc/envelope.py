"""The envelope: bytes of a request to the call in it, the outcome of a call to the bytes of its reply. Pure.

The rule: whatever came, there is a reply with the request's `id` and `version` in it, as far as they could be read.

What is made for every call is a msgspec struct: a frozen dataclass takes a microsecond to make, a struct a tenth of it.
"""

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import msgspec

from priceverse.rpc import strict
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Quota
from priceverse.rpc.strict import MalformedError

DEFAULT_VERSION = "2.0"
MAX_ID_CHARS = 128

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
Version = Annotated[str, msgspec.Meta(max_length=16, pattern=r"^[0-9A-Za-z.+-]*\Z")]
"""Narrow, because it comes back in a header."""


class _Context(msgspec.Struct):
    traceId: str | None = None  # noqa: N815 - the wire's name


class _Cache(msgspec.Struct, rename="camel"):
    max_age: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Hints(msgspec.Struct):
    """What a request asks of the way it is answered."""

    cache: _Cache | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Fields(msgspec.Struct, kw_only=True):
    """The fields that every request may have; what is not named here is ignored."""

    id: Id | None = None
    version: Version | None = None
    timestamp: float | None = None
    context: _Context | None = None
    hints: Hints | None = None


class _Call(Fields, kw_only=True):
    version: Annotated[str, msgspec.Meta(max_length=16)] | None = None  # `_version` checks the rest
    service: str
    method: str
    input: msgspec.Raw = msgspec.Raw()


class _Identity(msgspec.Struct):
    id: Any = None
    version: Any = None


class Call(msgspec.Struct, frozen=True):
    """One call: `input` is its undecoded JSON (empty if absent), `timeout_s` what the client asked for.

    `request_id` is for the log. `max_age_s` is the oldest answer from a cache that the client takes.
    """

    service: str
    method: str
    input: bytes
    timeout_s: float | None = None
    request_id: str = ""
    max_age_s: float | None = None


class Request(msgspec.Struct, frozen=True):
    """Who asks, and what was understood: a call, or the error that answers a request that holds none."""

    id: str
    version: str
    trace_id: str | None
    content: Call | CallError


class Done(msgspec.Struct, frozen=True):
    """A call that went well. `cache_s` is how long its data may be kept (None: not at all).

    `quota` is what its client has left of a limited method.
    """

    data: object
    cache_s: float | None = None
    quota: Quota | None = None


Outcome = Done | CallError

_calls = msgspec.json.Decoder(_Call)
_identities = msgspec.json.Decoder(_Identity)
_inputs = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder(decimal_format="number")
encode = _encoder.encode
"""JSON of a reply: decimals as numbers with every digit."""


def new_id() -> str:
    """Return an id for a request that came without one."""
    return str(uuid.uuid4())


def parse(body: bytes, fallback_id: str) -> Request:
    """Read one request; `fallback_id` is its id if it names none, or "" for a new one."""
    try:
        strict.check(body)
    except MalformedError as fault:
        return Request(fallback_id or new_id(), DEFAULT_VERSION, None, bad_request(fault))
    return parse_checked(body, fallback_id, "$")


def parse_checked(body: bytes | msgspec.Raw, fallback_id: str, root: str) -> Request:
    """Read one request whose bytes `strict.check` has seen, at the JSON path `root` of what was sent."""
    try:
        fields = strict.decode(_calls, body, root)
        version = _version(fields.version, root)
    except MalformedError as fault:
        request_id, version = salvage(body, fallback_id)
        return Request(request_id, version, None, bad_request(fault))
    request_id = fields.id or fallback_id or new_id()
    hints = fields.hints
    call = Call(
        fields.service,
        fields.method,
        bytes(fields.input),
        None if hints is None else timeout_s(hints),
        request_id,
        None if hints is None else max_age_s(hints),
    )
    trace = None if fields.context is None else fields.context.traceId
    return Request(request_id, version, trace, call)


def _version(said: str | None, root: str) -> str:
    """Return the version a call is of. Asking a pattern costs as much as the rest of the decoding, so usually not."""
    if said is None or said == DEFAULT_VERSION:
        return DEFAULT_VERSION
    try:
        return msgspec.convert(said, Version) or DEFAULT_VERSION
    except msgspec.ValidationError as fault:
        raise MalformedError(str(fault), f"{root}.version") from None


def arguments(raw: bytes) -> tuple[bytes, str]:
    """Return the JSON object in a call's input and its path: `input` may also be an array of one argument, or absent.

    Raises CallError BAD_REQUEST for an array of more.
    """
    path = "$.input"
    if raw.startswith(b"{"):  # nearly always
        return raw, path
    raw = raw.strip()
    if raw.startswith(b"["):
        items = _inputs.decode(raw)
        if len(items) > 1:
            raise CallError(Code.BAD_REQUEST, f"input has {len(items)} arguments, methods take one", {"path": path})
        raw, path = (bytes(items[0]).strip(), f"{path}[0]") if items else (b"", path)
    return (b"{}" if raw in {b"", b"null"} else raw), path


def salvage(body: bytes | msgspec.Raw, fallback_id: str) -> tuple[str, str]:
    """Return id and version of a request that is otherwise unusable, where they can be had."""
    try:
        loose = strict.decode(_identities, body)
    except MalformedError:
        return fallback_id or new_id(), DEFAULT_VERSION
    named = isinstance(loose.id, str) and 0 < len(loose.id) <= MAX_ID_CHARS
    try:
        version = msgspec.convert(loose.version, Version)
    except msgspec.ValidationError:
        version = ""
    return (loose.id if named else fallback_id or new_id()), version or DEFAULT_VERSION


def bad_request(fault: MalformedError) -> CallError:
    """Turn a malformed request into its answer."""
    return CallError(Code.BAD_REQUEST, f"Bad request: {fault.what}", {"path": fault.path})


def timeout_s(hints: Hints) -> float | None:
    """Return the time that a request gives itself."""
    return None if hints.timeout is None else hints.timeout / 1000


def max_age_s(hints: Hints) -> float | None:
    """Return how old an answer may be that a request takes."""
    return None if hints.cache is None or hints.cache.max_age is None else hints.cache.max_age / 1000


def trace_id(fields: Fields) -> str | None:
    """Return the trace that a request says it belongs to."""
    return fields.context.traceId if fields.context else None


class _Metrics(msgspec.Struct):
    serverTime: float  # noqa: N815 - the wire's name, as below


class _Kept(msgspec.Struct):
    maxAge: int  # noqa: N815


class _ReplyHints(msgspec.Struct, omit_defaults=True):
    metrics: _Metrics
    cache: _Kept | None = None


class _Success(msgspec.Struct):
    id: str
    version: str
    timestamp: int
    success: bool
    data: object
    hints: _ReplyHints


def render(request: Request, outcome: Outcome, *, now_ms: int, took_s: float) -> bytes:
    """Write the reply to one call."""
    if isinstance(outcome, Done):
        hints = _ReplyHints(_Metrics(round(took_s * 1000, 3)), _kept(outcome.cache_s))
        return encode(_Success(request.id, request.version, now_ms, True, outcome.data, hints))
    return encode({"id": request.id, "version": request.version, "timestamp": now_ms, **result(outcome)})


@cache
def _kept(cache_s: float | None) -> _Kept | None:
    return None if cache_s is None else _Kept(round(cache_s * 1000))


def result(outcome: Outcome) -> Mapping[str, object]:
    """Return the part of a reply that tells the outcome; `data` is there even when it is null."""
    if isinstance(outcome, Done):
        return {"success": True, "data": outcome.data}
    error: dict[str, object] = {"code": outcome.code, "message": outcome.message}
    if outcome.details:
        error["details"] = outcome.details
    return {"success": False, "error": error}
