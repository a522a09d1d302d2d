"""OpenAPI 3.1 of everything that is served, derived from the methods' declarations. Pure.

One path carries every call, so its body is one of as many shapes as there are methods; the reads have a path each.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from priceverse import __version__
from priceverse.config.settings import Settings
from priceverse.rpc.discover import numbers
from priceverse.rpc.errors import Code
from priceverse.rpc.method import Method
from priceverse.rpc.registry import Registry
from priceverse.services import charts, prices

JSON = dict[str, Any]

_REF = "#/components/schemas/{name}"
_TEXT = {"type": "string"}
_STAMP = {"type": "integer", "description": "Milliseconds since 1970, UTC."}
_ENVELOPE: JSON = {"id": {"type": "string", "maxLength": 128}, "version": {"type": "string", "maxLength": 16}}
_HINTS: JSON = {
    "type": "object",
    "properties": {
        "timeout": {"type": "number", "exclusiveMinimum": 0, "description": "Most ms that the call may take."},
        "cache": {"type": "object", "properties": {"maxAge": {"type": "number", "minimum": 0}}},
    },
}
_CONTEXT: JSON = {"type": "object", "properties": {"traceId": _TEXT, "spanId": _TEXT, "userId": _TEXT}}


def document(registry: Registry, settings: Settings) -> JSON:
    """Return the document."""
    methods = [method for method in registry if method.events is None]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Priceverse",
            "version": __version__,
            "summary": "One trustworthy price per pair out of six exchanges.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/netron/invoke": {"post": _invoke(methods)},
            "/netron/batch": {"post": _batch(settings)},
            "/netron/authenticate": {"post": _authenticate()},
            **_reads(settings),
            **_udf(),
            **_probes(settings),
            **_documents(),
        },
        "components": {
            "schemas": _schemas(methods),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


# --- calls


def _invoke(methods: Iterable[Method]) -> JSON:
    listed = "\n".join(f"- `{each.service}@{each.version}` `{each.name}`: {each.summary}" for each in methods)
    return {
        "operationId": "invoke",
        "summary": "Call one method.",
        "description": listed,
        "requestBody": _body("Call"),
        "responses": {"200": _answer("Success", "The method's answer."), **_failures()},
    }


def _batch(settings: Settings) -> JSON:
    return {
        "operationId": "batch",
        "summary": f"Call up to {settings.api.max_batch} methods; each succeeds or fails by itself.",
        "requestBody": _body("Batch"),
        "responses": {"200": _answer("BatchReply", "The outcomes, in the order of the calls."), **_failures()},
    }


def _authenticate() -> JSON:
    return {
        "operationId": "authenticate",
        "summary": "Exchange a user's password or an API key for a bearer token.",
        "requestBody": _body("Login"),
        "responses": {"200": _answer("LoginReply", "The token."), **_failures()},
    }


def _body(name: str) -> JSON:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}


def _answer(name: str, text: str) -> JSON:
    return {"description": text, "content": {"application/json": {"schema": _ref(name)}}}


def _failures() -> JSON:
    """Every status that an error can have, with the codes behind it."""
    codes: dict[int, list[str]] = {}
    for code in Code:
        codes.setdefault(code.status, []).append(code)
    return {str(status): _answer("Failure", f"Code {', '.join(codes[status])}.") for status in sorted(codes)}


# --- reads


def _reads(settings: Settings) -> JSON:
    kept = {"304": {"description": "As you have it."}, **_failures()}
    pair = {"name": "pair", "in": "path", "required": True, "schema": {"enum": list(settings.listed_pairs)}}
    pairs = _query("pairs", {**_TEXT, "description": "Pairs, separated by commas; default: all."})
    several: JSON = {"200": _answer("Prices", "Prices, and why others have none."), **kept}
    return {
        "/v2/prices": {"get": _read("prices", "The prices of many pairs.", [pairs], several)},
        "/v2/prices/{pair}": {
            "get": _read("price", "The price of a pair.", [pair], {"200": _answer("PriceReply", "Its price."), **kept})
        },
        "/v2/candles/{pair}": {
            "get": _read(
                "candles",
                "Candles of a pair, newest first.",
                [pair, *_candle_queries()],
                {"200": _answer("OhlcvReply", "The candles."), **kept},
            )
        },
        "/stream/prices": {
            "get": _read(
                "streamPrices",
                "Live prices as server-sent events; the first ones are those of now.",
                [pairs],
                {"200": {"description": "Events.", "content": {"text/event-stream": {"schema": _TEXT}}}, **_failures()},
            )
        },
    }


def _candle_queries() -> list[JSON]:
    """Return the parameters of getOHLCV as a query has them."""
    schema = numbers(msgspec.json.schema(charts.GetOhlcv))
    defined = schema["$defs"]
    properties = {key: value for key, value in defined["GetOhlcv"]["properties"].items() if key != "pair"}
    return [_query(name, _resolved(each, defined)) for name, each in properties.items()]


def _resolved(schema: JSON, defined: JSON) -> JSON:
    """Return a schema without references and without null, which a query cannot say."""
    if "$ref" in schema:
        named: JSON = defined[schema["$ref"].rpartition("/")[2]]
        return {key: value for key, value in {**named, **schema}.items() if key not in {"$ref", "title"}}
    if "anyOf" in schema:
        [some] = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return _resolved(some, defined)
    return schema


def _query(name: str, schema: JSON) -> JSON:
    return {"name": name, "in": "query", "schema": schema}


def _read(operation: str, summary: str, parameters: list[JSON], responses: JSON) -> JSON:
    return {"operationId": operation, "summary": summary, "parameters": parameters, "responses": responses}


def _udf() -> JSON:
    """TradingView's feed: its own documentation says what the objects mean."""
    symbol = {**_query("symbol", _TEXT), "required": True}
    history = [
        symbol,
        {**_query("resolution", {"enum": ["5", "60", "1D"]}), "required": True},
        *(_query(name, {"type": "integer"}) for name in ("from", "to", "countback")),
    ]
    queries: Mapping[str, list[JSON]] = {
        "config": [],
        "symbols": [symbol],
        "search": [_query("query", _TEXT), _query("limit", {"type": "integer", "minimum": 0})],
        "history": history,
    }
    found: JSON = {
        f"/udf/{name}": {
            "get": _read(f"udf_{name}", f"TradingView UDF: {name}.", asked, {"200": _any(), **_failures()})
        }
        for name, asked in queries.items()
    }
    text = {"description": "Seconds since 1970.", "content": {"text/plain": {"schema": _TEXT}}}
    return {**found, "/udf/time": {"get": _read("udf_time", "TradingView UDF: time.", [], {"200": text})}}


def _any() -> JSON:
    return {"description": "As the protocol has it.", "content": {"application/json": {"schema": {}}}}


def _probes(settings: Settings) -> JSON:
    if not settings.health.enabled:
        return {}
    path = settings.health.path
    named = {
        path: ("HealthReply", "check"),
        f"{path}/live": ("LiveReply", "live"),
        f"{path}/ready": ("ReadyReply", "ready"),
    }
    return {
        each: {"get": _read(f"health_{name}", f"HealthService {name}.", [], _probe(reply))}
        for each, (reply, name) in named.items()
    }


def _probe(reply: str) -> JSON:
    failed = {"anyOf": [_ref(reply), {"type": "object", "required": ["status", "message"]}]}
    return {
        "200": _answer(reply, "It is."),
        "503": {"description": "It is not.", "content": {"application/json": {"schema": failed}}},
    }


def _documents() -> JSON:
    guarded = {"401": _answer("Failure", "Credentials are missing."), "503": _answer("Failure", "Not now.")}
    page = {"application/openmetrics-text": {"schema": _TEXT}, "application/json": {"schema": {"type": "object"}}}
    metrics = _read("metrics", "Metrics of the instance.", [], {"200": {"description": "", "content": page}, **guarded})
    openapi = _read("openapi", "This document.", [], {"200": _any(), **guarded})
    return {
        "/metrics": {"get": {**metrics, "security": [{"bearer": []}]}},
        "/openapi.json": {"get": {**openapi, "security": [{"bearer": []}, {}]}},
        "/discover": {"get": _read("discover", "Services and methods.", [], {"200": _any()})},
    }


# --- schemas


def _schemas(methods: list[Method]) -> JSON:
    types = [each for method in methods for each in (method.params, method.reply)]
    schemas, components = msgspec.json.schema_components([*types, prices.PriceReply], ref_template=_REF)
    inputs, outputs = schemas[:-1:2], schemas[1:-1:2]
    calls = {
        f"Call_{each.service}_{each.name}": _call(each, given) for each, given in zip(methods, inputs, strict=True)
    }
    replies = list({msgspec.json.encode(each): each for each in outputs}.values())
    own = {**calls, **_envelopes([_ref(name) for name in calls], replies)}
    return {**numbers(components), **numbers(own)}


def _call(method: Method, given: JSON) -> JSON:
    return {
        "type": "object",
        "title": f"{method.service}@{method.version} {method.name}",
        "description": method.summary,
        "properties": {
            **_ENVELOPE,
            "service": {"enum": [f"{method.service}@{method.version}", method.service]},
            "method": {"const": method.name},
            "input": given,
            "timestamp": {"type": "number"},
            "context": _CONTEXT,
            "hints": _HINTS,
        },
        "required": ["service", "method", *(["input"] if msgspec.structs.fields(method.params) else [])],
    }


def _envelopes(calls: list[JSON], replies: list[JSON]) -> JSON:
    stamped = {**_ENVELOPE, "timestamp": _STAMP}
    error = {
        "type": "object",
        "properties": {"code": {"enum": [str(code) for code in Code]}, "message": _TEXT, "details": {"type": "object"}},
        "required": ["code", "message"],
    }
    success: JSON = {"success": {"const": True}, "data": {"anyOf": replies}}
    failure: JSON = {"success": {"const": False}, "error": error}
    outcome: JSON = {
        "anyOf": [_object({**_ENVELOPE, **success}, "version"), _object({**_ENVELOPE, **failure}, "version")]
    }
    options = {"type": "object", "properties": {"parallel": {"type": "boolean"}, "stopOnError": {"type": "boolean"}}}
    batch = {**_ENVELOPE, "requests": {"type": "array", "items": _ref("Call")}, "options": options}
    missing = {"type": "object", "additionalProperties": error}
    return {
        **_login(stamped),
        "Call": {"oneOf": calls},
        "Success": _object({**stamped, **success, "hints": {"type": "object"}}),
        "Failure": _object({**stamped, **failure}),
        "Batch": _object(batch, "id", "version", "options"),
        "BatchReply": _object(
            {**stamped, "responses": {"type": "array", "items": outcome}, "hints": {"type": "object"}}
        ),
        "Prices": _object(
            {"prices": {"type": "array", "items": _ref("PriceReply")}, "unavailable": missing}, "unavailable"
        ),
    }


def _login(stamped: JSON) -> JSON:
    by_password: JSON = {"username": _TEXT, "password": _TEXT}
    token = {"token": _TEXT, "tokenType": _TEXT, "expiresIn": {"type": "integer"}, "expiresAt": _TEXT}
    roles = {"type": "array", "items": _TEXT}
    return {
        "Login": {"anyOf": [_object(by_password), _object({"apiKey": _TEXT})]},
        "LoginReply": _object({**stamped, "success": {"const": True}, "data": _object({**token, "roles": roles})}),
    }


def _object(properties: JSON, *optional: str) -> JSON:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _ref(name: str) -> JSON:
    return {"$ref": _REF.format(name=name)}
