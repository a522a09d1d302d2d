"""The methods that clients call, declared once each; `registry()` is all of them."""

from types import ModuleType

from priceverse.rpc.method import Method
from priceverse.rpc.registry import Registry
from priceverse.services import change, charts, explain, health, prices, streams


def registry() -> Registry:
    """Return every method of every service."""
    return Registry(each for module in (prices, change, explain, streams, charts, health) for each in _methods(module))


def _methods(module: ModuleType) -> list[Method]:
    return [each for each in vars(module).values() if isinstance(each, Method)]
