"""The root's pages: `/metrics` for people and Prometheus, `/samples`, `/tree` for its own processes."""

from collections.abc import Mapping

import msgspec

from priceverse.metrics import exposition
from priceverse.metrics.instance import Instance
from priceverse.metrics.listener import Page, Render

JSON = "application/json"


def public(instance: Instance) -> Mapping[str, Render]:
    """Return what anybody on the machine may see."""
    return {"/metrics": lambda accept: metrics(instance, accept)}


def private(instance: Instance) -> Mapping[str, Render]:
    """Return what the instance's own processes may see."""
    return {
        **public(instance),
        "/samples": lambda _: Page(JSON, msgspec.json.encode(instance.packed())),
        "/tree": lambda _: Page(JSON, msgspec.json.encode(instance.tree())),
    }


def metrics(instance: Instance, accept: str) -> Page:
    """Return OpenMetrics, or the original document's JSON object for who accepts JSON and no text."""
    if prefers_json(accept):
        return Page(JSON, msgspec.json.encode(instance.summary()))
    return Page(exposition.CONTENT_TYPE, instance.page())


def prefers_json(accept: str) -> bool:
    """Tell whether JSON is named before any text."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    wanted = [kind for kind in named if kind == JSON or kind.startswith(("text/", "application/openmetrics"))]
    return wanted[:1] == [JSON]
