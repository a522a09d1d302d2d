"""Reads that browsers and proxies can keep: prices and candles by GET, with ETag and max-age.

    GET /v2/prices?pairs=   GET /v2/prices/<pair>   GET /v2/candles/<pair>?interval=&limit=&offset=&from=&to=&fill=

The rule: these are the methods under other names. The same checks, limits and caches; the answer is their data alone.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from quart import Response, request
from quart_trio import QuartTrio

from priceverse.api import answers
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint
from priceverse.rpc.envelope import Call, Done, Outcome, encode
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Ports
from priceverse.services import charts, prices

NUMBERS = ("limit", "offset")
TIMES = ("from", "to")
CANDLE_PARAMETERS = frozenset({"interval", "limit", "offset", "from", "to", "fill"})
DEFAULT_INTERVAL = "1hour"
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_SPACE = re.compile(r" (?=[0-9]{2}:[0-9]{2}\Z)")
"""What a query makes of the plus of a time's offset, unless somebody wrote it as %2B."""


class Reads:
    """Answers the reads by calling methods."""

    def __init__(self, dispatcher: Dispatcher, endpoint: Endpoint, ports: Ports) -> None:
        self._dispatcher = dispatcher
        self._endpoint = endpoint
        self._ports = ports

    def add_to(self, app: QuartTrio) -> None:
        """Serve them."""
        app.add_url_rule("/v2/prices", "v2 prices", self.prices)
        app.add_url_rule("/v2/prices/<pair>", "v2 price", self.price)
        app.add_url_rule("/v2/candles/<pair>", "v2 candles", self.candles)

    async def price(self, pair: str) -> Response:
        """Answer with the price of one pair."""
        return await self._told(prices.SERVICE, "getPrice", {"pair": pair})

    async def candles(self, pair: str) -> Response:
        """Answer with candles, newest first."""
        asked = {"interval": DEFAULT_INTERVAL, **dict(request.args.items())}
        unknown = asked.keys() - CANDLE_PARAMETERS
        if unknown:
            fault = CallError(Code.INVALID_PARAMETER, f"Unknown parameter: {min(unknown)[:64]}")
            return answers.refused(self._endpoint, fault)
        numbers = {name: int(asked[name]) for name in NUMBERS if _WHOLE.fullmatch(asked.get(name, ""))}
        times = {name: _SPACE.sub("+", asked[name]) for name in TIMES if name in asked}
        return await self._told(charts.SERVICE, "getOHLCV", {"pair": pair, **asked, **numbers, **times})

    async def prices(self) -> Response:
        """Answer with the prices of all pairs, or of those asked for; those without a price say why."""
        named = [pair for given in request.args.getlist("pairs") for pair in given.split(",") if pair]
        wanted = tuple(dict.fromkeys(named)) or self._ports.pairs.listed
        outcomes: dict[str, Outcome] = {}
        try:
            for at in range(0, len(wanted), prices.MAX_PAIRS):
                outcomes |= await self._several(wanted[at : at + prices.MAX_PAIRS])
        except CallError as error:
            return answers.refused(self._endpoint, error)
        found = [outcome.data for outcome in outcomes.values() if isinstance(outcome, Done)]
        missing = {pair: outcome for pair, outcome in outcomes.items() if isinstance(outcome, CallError)}
        if not found:
            return answers.refused(self._endpoint, next(iter(missing.values())))
        told = {"prices": found, **({"unavailable": _faults(missing)} if missing else {})}
        quota = next((outcome.quota for outcome in reversed(outcomes.values()) if outcome.quota), None)
        return answers.cacheable(told, Done(None, prices.get_multiple_prices.cache_s, quota))

    async def _several(self, pairs: tuple[str, ...]) -> dict[str, Outcome]:
        """Ask for some pairs at once; where that fails for want of a price, for each, at nobody's charge.

        Raises CallError where the question is wrong or was asked too often.
        """
        outcome = await answers.call(self._dispatcher, prices.SERVICE, "getMultiplePrices", {"pairs": pairs})
        if isinstance(outcome, Done):
            replies: Sequence[object] = outcome.data  # type: ignore[assignment] # as the method is declared
            return {pair: Done(reply, None, outcome.quota) for pair, reply in zip(pairs, replies, strict=True)}
        if outcome.code.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise outcome
        calls = {pair: Call(prices.SERVICE, "getPrice", encode({"pair": pair})) for pair in pairs}
        return {pair: await self._dispatcher.run(call) for pair, call in calls.items()}

    async def _told(self, service: str, method: str, given: Mapping[str, object]) -> Response:
        outcome = await answers.call(self._dispatcher, service, method, given)
        if isinstance(outcome, Done):
            return answers.cacheable(outcome.data, outcome)
        return answers.refused(self._endpoint, outcome)


def _faults(missing: Mapping[str, CallError]) -> dict[str, object]:
    return {
        pair: {"code": error.code, "message": error.message, "details": error.details}
        for pair, error in missing.items()
    }
