"""The pipeline of a call: find the method, charge the client, check the input, run it in its time, say how it ended.

It has two halves. `begin` never waits and ends most calls: those that are wrong, and those answered from memory;
`finish` waits for the rest. Without the split each of the former would pay for a cancel scope that it cannot need.

The rule: every call has an outcome, and nothing is raised but a cancellation. This is the boundary at which a fault of
ours becomes INTERNAL: logged here with its traceback, told to nobody.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import cast

import msgspec
import trio

from priceverse.log import get_logger
from priceverse.metrics import catalogue, tally
from priceverse.rpc import strict
from priceverse.rpc.envelope import Call, Done, Outcome, arguments
from priceverse.rpc.errors import OF_PARAMETER, CallError, Code
from priceverse.rpc.limits import Limiter, Quota
from priceverse.rpc.method import Method, Params, never
from priceverse.rpc.ports import Ports
from priceverse.rpc.registry import Registry
from priceverse.rpc.strict import MalformedError

log = get_logger()


class Dispatcher:
    """Runs calls against one set of ports. No call takes longer than `max_timeout_s`, whatever its client asks for.

    Without a `limiter` nobody is charged.
    """

    def __init__(
        self, registry: Registry, ports: Ports, *, max_timeout_s: float, limiter: Limiter | None = None
    ) -> None:
        self.max_timeout_s = max_timeout_s
        self._registry = registry
        self._ports = ports
        self._limiter = limiter
        self._always: Mapping[Code, Mapping[str, object]] = {
            Code.INVALID_PAIR: {"availablePairs": list(ports.pairs.listed)},
        }

    def is_stream(self, call: Call) -> bool:
        """Tell whether a call asks for a stream."""
        try:
            return self._registry.resolve(call.service, call.method).events is not None
        except CallError:
            return False

    async def subscribe(self, call: Call) -> frozenset[str]:
        """Return the pairs that the stream of a call is about. Raises CallError."""
        method = self._registry.resolve(call.service, call.method)
        try:
            return cast("frozenset[str]", await method.run(parameters(method, call), self._ports))
        except CallError as error:
            raise self._told(error, None) from None

    async def run(self, call: Call, client: str = "") -> Outcome:
        """Run one call of `client` to its outcome; a call of nobody ("") is charged to nobody."""
        begun = self.begin(call, client)
        return await self.finish(begun) if isinstance(begun, Waiting) else begun

    def begin(self, call: Call, client: str = "") -> "Outcome | Waiting":
        """Charge and check a call, and answer it if nothing has to be waited for."""
        quota = None
        try:
            method = self._registry.resolve(call.service, call.method)
            quota = self._charge(method, client)
            params = parameters(_answering(method), call)
            data = method.at_once(params, self._ports)
        except CallError as error:
            return self._told(error, error.quota or quota)
        except Exception:  # the boundary of the methods, see above
            log.exception("method_failed", service=call.service, method=call.method, request_id=call.request_id)
            return CallError(Code.INTERNAL, "Internal error", quota=quota)
        if method.at_once is not never:
            tally.count(catalogue.CACHE, 1, "memory", "miss" if data is None else "hit")
        return Waiting(call, method, params, quota) if data is None else Done(data, method.cache_s, quota)

    async def finish(self, waiting: "Waiting") -> Outcome:
        """Wait for the answer to a call that `begin` let through."""
        call, method, quota = waiting.call, waiting.method, waiting.quota
        ports = self._ports
        if call.max_age_s is not None:
            ports = replace(ports, replies=ports.replies.no_older_than(call.max_age_s))
        timeout_s = min(call.timeout_s or self.max_timeout_s, self.max_timeout_s)
        try:
            with trio.move_on_after(timeout_s):
                return Done(await method.run(waiting.params, ports), method.cache_s, quota)
        except CallError as error:
            return self._told(error, quota)
        except Exception:  # as above
            log.exception("method_failed", service=call.service, method=call.method, request_id=call.request_id)
            return CallError(Code.INTERNAL, "Internal error", quota=quota)
        return CallError(Code.TIMEOUT, "The call took too long", {"timeout": round(timeout_s * 1000)}, quota=quota)

    def _told(self, error: CallError, quota: Quota | None) -> CallError:
        told = error.again(**self._always.get(error.code, {}))
        told.quota = quota
        return told

    def _charge(self, method: Method, client: str) -> Quota | None:
        if method.limit is None or self._limiter is None or not client:
            return None
        quota = self._limiter.take(client, method.name, method.limit)
        if quota.wait_s:
            raise _too_many(quota)
        return quota


class Waiting(msgspec.Struct, frozen=True):
    """A good call whose answer is not in memory."""

    call: Call
    method: Method
    params: Params
    quota: Quota | None


def _answering(method: Method) -> Method:
    if method.events is not None:
        raise CallError(Code.METHOD_NOT_ALLOWED, f"{method.name} is a stream: call it on a WebSocket")
    return method


def _too_many(quota: Quota) -> CallError:
    limit = quota.limit
    details: dict[str, object] = {
        "limit": limit.requests,
        "windowMs": limit.per_s * 1000,
        "retryAfterMs": ceil(quota.wait_s * 1000),
    }
    message = f"At most {limit.requests} calls of {quota.policy} in {limit.per_s} s"
    return CallError(Code.TOO_MANY_REQUESTS, message, details, retry_after_s=quota.wait_s, quota=quota)


def parameters(method: Method, call: Call) -> Params:
    """Read a call's input as `method` takes it. Raises CallError with the code of the parameter that is wrong."""
    raw, root = arguments(call.input)
    try:
        return strict.decode(method.decoder, raw, root)
    except MalformedError as fault:
        parameter = fault.path.removeprefix(root).lstrip(".")
        code = OF_PARAMETER.get(parameter, Code.INVALID_PARAMETER)
        raise CallError(code, f"Invalid input: {fault.what}", {"path": fault.path}) from None
