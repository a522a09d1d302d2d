"""Which method a request means: services by name and version, methods by name. Filled once, read ever after."""

from collections.abc import Iterable, Iterator

from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.method import Method

SHOWN_CHARS = 128
"""Most characters of a client's own words in a message back to it."""


class Registry:
    """Every method that can be called."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, dict[str, Method]] = {}
        for each in methods:
            names = self._methods.setdefault(f"{each.service}@{each.version}", {})
            assert each.name not in names, f"{each.service}@{each.version} {each.name} is declared twice"
            names[each.name] = each
        self._services = dict(self._methods)
        for service in sorted(self._methods, key=_version):  # the newest comes last and stays
            self._services[service.partition("@")[0]] = self._methods[service]

    def __iter__(self) -> Iterator[Method]:
        """Yield every method, in the order of declaration."""
        for names in self._methods.values():
            yield from names.values()

    def resolve(self, service: str, name: str) -> Method:
        """Return the method of `Service@version`, or of the newest version of `Service`. Raises CallError NOT_FOUND."""
        names = self._services.get(service)
        if names is None:
            shown = service[:SHOWN_CHARS]
            details: dict[str, object] = {"service": shown, "availableServices": list(self._methods)}
            raise CallError(Code.NOT_FOUND, f"No such service: {shown}", details)
        found = names.get(name)
        if found is None:
            shown = name[:SHOWN_CHARS]
            details = {"service": service, "method": shown, "availableMethods": list(names)}
            raise CallError(Code.NOT_FOUND, f"No such method: {service} {shown}", details)
        return found


def _version(service: str) -> tuple[int, ...]:
    return tuple(int(part) for part in service.partition("@")[2].split("."))
