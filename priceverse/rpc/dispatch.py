"""The pipeline of a call: find the method, check its input, run it within its time, say how it ended.

The rule: `Dispatcher.run` returns an outcome for every call and raises nothing but a cancellation. This is the boundary
at which a fault of ours becomes INTERNAL: logged here with its traceback, told to nobody.
"""

from collections.abc import Mapping

import trio

from priceverse.log import get_logger
from priceverse.rpc import strict
from priceverse.rpc.envelope import Call, Done, Outcome, arguments
from priceverse.rpc.errors import OF_PARAMETER, CallError, Code
from priceverse.rpc.method import Method, Params
from priceverse.rpc.ports import Ports
from priceverse.rpc.registry import Registry
from priceverse.rpc.strict import MalformedError

log = get_logger()


class Dispatcher:
    """Runs calls against one set of ports. No call takes longer than `max_timeout_s`, whatever its client asks for."""

    def __init__(self, registry: Registry, ports: Ports, *, max_timeout_s: float) -> None:
        self.max_timeout_s = max_timeout_s
        self._registry = registry
        self._ports = ports
        self._always: Mapping[Code, Mapping[str, object]] = {
            Code.INVALID_PAIR: {"availablePairs": list(ports.pairs.listed)},
        }

    async def run(self, call: Call) -> Outcome:
        """Run one call to its outcome."""
        try:
            return await self._run(call)
        except CallError as error:
            return CallError(error.code, error.message, {**error.details, **self._always.get(error.code, {})})
        except Exception:  # the boundary of the methods, see above
            log.exception("method_failed", service=call.service, method=call.method, request_id=call.request_id)
            return CallError(Code.INTERNAL, "Internal error")

    async def _run(self, call: Call) -> Done:
        method = self._registry.resolve(call.service, call.method)
        params = _params(method, call)
        timeout_s = min(call.timeout_s or self.max_timeout_s, self.max_timeout_s)
        with trio.move_on_after(timeout_s):
            return Done(await method.run(params, self._ports), method.cache_s)
        raise CallError(Code.TIMEOUT, "The call took too long", {"timeout": round(timeout_s * 1000)})


def _params(method: Method, call: Call) -> Params:
    raw, root = arguments(call.input)
    try:
        return strict.decode(method.decoder, raw, root)
    except MalformedError as fault:
        parameter = fault.path.removeprefix(root).lstrip(".")
        code = OF_PARAMETER.get(parameter, Code.INVALID_PARAMETER)
        raise CallError(code, f"Invalid input: {fault.what}", {"path": fault.path}) from None
