"""What a client can learn about the methods without reading a document: the reply of `GET /discover`. Pure."""

from typing import Any

import msgspec

from priceverse.rpc.registry import Registry

_DECIMAL = {"type": "string", "format": "decimal"}
_NUMBER = {"type": "number"}


def describe(registry: Registry) -> list[dict[str, Any]]:
    """Return every service with its methods: summary, JSON schemas of input and output, promised freshness, limit.

    The output of a stream is one of its events.
    """
    services: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for method in registry:
        entry: dict[str, Any] = {
            "name": method.name,
            "description": method.summary,
            "input": _schema(method.params),
            "output": _schema(method.reply),
        }
        if method.cache_s is not None:
            entry["cache"] = {"maxAge": round(method.cache_s * 1000)}
        if method.limit is not None:
            entry["limit"] = {"requests": method.limit.requests, "windowMs": method.limit.per_s * 1000}
        if method.events is not None:
            entry["output"] = _schema(method.events)
            entry["stream"] = True
        services.setdefault((method.service, method.version), []).append(entry)
    return [{"name": name, "version": version, "methods": methods} for (name, version), methods in services.items()]


def method_table(registry: Registry) -> str:
    """Return the README's table of methods."""
    rows = ["| service | method | input | what it does | good for | calls a minute |", "|---|---|---|---|---|---|"]
    for each in registry:
        given = ", ".join(_shown(field) for field in msgspec.structs.fields(each.params)) or "–"
        cache = f"{each.cache_s:g} s" if each.cache_s is not None else "–"
        limit = str(each.limit.requests * 60 // each.limit.per_s) if each.limit else "–"
        service = f"{each.service}@{each.version}"
        rows.append(f"| `{service}` | `{each.name}` | {given} | {each.summary} | {cache} | {limit} |")
    return "\n".join(rows)


def _shown(field: msgspec.structs.FieldInfo) -> str:
    return f"`{field.encode_name}`" if field.required else f"`{field.encode_name}?`"


def _schema(type_: Any) -> Any:  # noqa: ANN401 - any annotation has a schema
    return numbers(msgspec.json.schema(type_))


def numbers(schema: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Say `number` where msgspec says `string`: decimals leave as JSON numbers with all their digits."""
    if isinstance(schema, dict):
        return dict(_NUMBER) if schema == _DECIMAL else {key: numbers(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [numbers(value) for value in schema]
    return schema
