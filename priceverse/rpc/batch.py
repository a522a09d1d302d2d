"""A batch: many calls in one request, each through the same pipeline as if it had come alone, answered in order.

With `stopOnError` the first failure ends the batch: what has not ended by then is answered BATCH_ABORTED.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import trio

from priceverse.rpc import strict
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.envelope import (
    DEFAULT_VERSION,
    Call,
    Done,
    Fields,
    Outcome,
    Request,
    bad_request,
    encode,
    new_id,
    parse_checked,
    result,
    salvage,
    trace_id,
)
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.strict import MalformedError

RunCall = Callable[[Call], Awaitable[Outcome]]


class _Options(msgspec.Struct, rename="camel"):
    parallel: bool = True
    stop_on_error: bool = False


class _Batch(Fields, kw_only=True):
    requests: list[msgspec.Raw]
    options: _Options | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as understood; `error` answers one that cannot be run at all."""

    id: str
    version: str
    trace_id: str | None = None
    requests: tuple[Request, ...] = ()
    parallel: bool = True
    stop_on_error: bool = False
    error: CallError | None = None


_batches = msgspec.json.Decoder(_Batch)


def parse(body: bytes, fallback_id: str, *, max_calls: int) -> Batch:
    """Read a batch; `fallback_id` is its id if it names none."""
    try:
        strict.check(body)
    except MalformedError as fault:
        return Batch(fallback_id, DEFAULT_VERSION, error=bad_request(fault))
    try:
        fields = strict.decode(_batches, body)
    except MalformedError as fault:
        return Batch(*salvage(body, fallback_id), error=bad_request(fault))
    requests = tuple(
        parse_checked(raw, new_id(), f"$.requests[{i}]") for i, raw in enumerate(fields.requests[: max_calls + 1])
    )
    options = fields.options or _Options()
    return Batch(
        id=fields.id or fallback_id,
        version=fields.version or DEFAULT_VERSION,
        trace_id=trace_id(fields),
        requests=requests,
        parallel=options.parallel,
        stop_on_error=options.stop_on_error,
        error=_fault(requests, len(fields.requests), max_calls),
    )


def _fault(requests: Sequence[Request], count: int, max_calls: int) -> CallError | None:
    where = {"path": "$.requests"}
    if count > max_calls:
        return CallError(Code.BAD_REQUEST, f"A batch holds at most {max_calls} calls, this one {count}", where)
    repeated = [request_id for request_id, times in Counter(each.id for each in requests).items() if times > 1]
    if repeated:
        return CallError(Code.BAD_REQUEST, "Calls of a batch need different ids", {**where, "ids": repeated})
    return None


async def run(batch: Batch, dispatcher: Dispatcher, client: str = "") -> tuple[Outcome, ...]:
    """Run every call for `client`; the outcomes are in request order. All together take no longer than one call may."""
    outcomes: dict[int, Outcome] = {}
    run_call = partial(dispatcher.run, client=client)
    with trio.move_on_after(dispatcher.max_timeout_s) as limit:
        async with trio.open_nursery() as nursery:
            for i in range(len(batch.requests)):
                if batch.parallel:
                    nursery.start_soon(_run_one, batch, i, run_call, outcomes, nursery.cancel_scope)
                elif not nursery.cancel_scope.cancel_called:
                    await _run_one(batch, i, run_call, outcomes, nursery.cancel_scope)
    missing = (
        CallError(Code.TIMEOUT, "The batch took too long")
        if limit.cancelled_caught
        else CallError(Code.BATCH_ABORTED, "Not run: an earlier call of the batch failed")
    )
    return tuple(outcomes.get(i, missing) for i in range(len(batch.requests)))


async def _run_one(
    batch: Batch, i: int, run_call: RunCall, outcomes: dict[int, Outcome], rest: trio.CancelScope
) -> None:
    content = batch.requests[i].content
    outcome = content if isinstance(content, CallError) else await run_call(content)
    outcomes[i] = outcome
    if batch.stop_on_error and isinstance(outcome, CallError):
        rest.cancel()


def render(batch: Batch, outcomes: Sequence[Outcome], *, now_ms: int, took_s: float) -> bytes:
    """Write the reply to a batch that was run."""
    good = sum(isinstance(outcome, Done) for outcome in outcomes)
    return encode(
        {
            "id": batch.id,
            "version": batch.version,
            "timestamp": now_ms,
            "responses": [
                {"id": request.id, **result(outcome)} for request, outcome in zip(batch.requests, outcomes, strict=True)
            ],
            "hints": {
                "totalTime": round(took_s * 1000, 3),
                "successCount": good,
                "failureCount": len(outcomes) - good,
            },
        }
    )
