"""A client of a running server, for the commands that a person types: calls, plain reads and the stream of prices.

The rule: numbers are read as Decimal, with every digit; what the server refuses is Refused, what cannot be reached is
a NetError.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Self

from priceverse import __version__
from priceverse.lean import without
from priceverse.net.errors import NetError

with without("click", "rich", "pygments"):
    import httpx

TIMEOUT_S = 30.0
SILENCE_S = 45.0
"""A stream that says nothing for so long, not even that it lives, is dead."""


class Refused(Exception):  # noqa: N818 - what happened, as the server says it
    """The server's answer to a call it did not carry out. `retry_after_s` is set where it said when to come again."""

    def __init__(self, error: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.code: str = error["code"]
        self.retry_after_s = retry_after_s


class Client:
    """One server, by its address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        agent = {"User-Agent": f"priceverse/{__version__}"}
        self._http = httpx.Client(timeout=TIMEOUT_S, headers=agent, trust_env=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._http.close()

    def call(self, service: str, method: str, **given: Any) -> Any:  # noqa: ANN401 - JSON, in and out
        """Call a method and return its data. Raises Refused, NetError."""
        asked = {"service": service, "method": method, "input": given}
        reply = self._send("POST", "/netron/invoke", json=asked)
        said = self._decode(reply)
        if not isinstance(said, dict) or "success" not in said:
            raise NetError(self.url, "it answers, but is no Priceverse server")
        if said["success"]:
            return said["data"]
        after = reply.headers.get("Retry-After", "")
        raise Refused(said["error"], float(after) if after.isdigit() else None)

    def read(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON document at a path, whatever its status. Raises NetError."""
        return self._decode(self._send("GET", path))

    def prices(self, pairs: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Yield prices as they change, the current ones first. Raises NetError when the connection ends."""
        given = {"pairs": ",".join(pairs)} if pairs else {}
        try:
            with self._http.stream("GET", f"{self.url}/stream/prices", params=given, timeout=SILENCE_S) as reply:
                if reply.status_code != httpx.codes.OK:
                    reply.read()
                    raise Refused(self._decode(reply)["error"])
                for line in reply.iter_lines():
                    if line.startswith("data: "):
                        yield _exact(line.removeprefix("data: "))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._fault(error) from None
        raise NetError(self.url, "the stream ended")

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            return self._http.request(method, self.url + path, **given)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._fault(error) from None

    def _decode(self, reply: httpx.Response) -> Any:  # noqa: ANN401 - JSON
        try:
            return _exact(reply.text)
        except ValueError:
            raise NetError(self.url, f"it answers {reply.status_code} without JSON: no Priceverse server?") from None

    def _fault(self, error: Exception) -> NetError:
        timed_out = isinstance(error, httpx.TimeoutException)
        return NetError(self.url, "no answer in time" if timed_out else f"cannot be reached: {error}")


def _exact(text: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(text, parse_float=Decimal)
