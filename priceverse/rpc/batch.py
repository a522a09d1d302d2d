"""A batch: many calls in one request, each through the same pipeline as if it had come alone, answered in order.

With `stopOnError` the first failure ends the batch: what has not ended by then is answered BATCH_ABORTED.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
import trio

from priceverse.rpc import strict
from priceverse.rpc.dispatch import Dispatcher, Waiting
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
    """Read a batch; `fallback_id` is its id if it names none, or "" for a new one."""
    try:
        strict.check(body)
    except MalformedError as fault:
        return Batch(fallback_id or new_id(), DEFAULT_VERSION, error=bad_request(fault))
    try:
        fields = strict.decode(_batches, body)
    except MalformedError as fault:
        return Batch(*salvage(body, fallback_id), error=bad_request(fault))
    requests = tuple(
        parse_checked(raw, "", f"$.requests[{i}]") for i, raw in enumerate(fields.requests[: max_calls + 1])
    )
    options = fields.options or _Options()
    return Batch(
        id=fields.id or fallback_id or new_id(),
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


class Run:
    """A batch being run for `client`. All together its calls take no longer than one call may."""

    def __init__(self, batch: Batch, dispatcher: Dispatcher, client: str = "") -> None:
        self._batch = batch
        self._dispatcher = dispatcher
        self._client = client
        self._outcomes: list[Outcome | None] = [None] * len(batch.requests)
        self._waiting: list[tuple[int, Waiting]] = []
        self._next = 0
        self._stopped = False

    def begin(self) -> bool:
        """Run every call that needs no waiting, or those before the first that does; tell whether the batch is done."""
        requests, begin = self._batch.requests, self._dispatcher.begin
        while self._next < len(requests) and not self._stopped and (self._batch.parallel or not self._waiting):
            i, content = self._next, requests[self._next].content
            self._next += 1
            begun = content if isinstance(content, CallError) else begin(content, self._client)
            if isinstance(begun, Waiting):
                self._waiting.append((i, begun))
            else:
                self._end(i, begun)
        return self._stopped or not self._waiting

    async def finish(self) -> None:
        """Wait for the rest."""
        late = CallError(Code.TIMEOUT, "The batch took too long")
        with trio.move_on_after(self._dispatcher.max_timeout_s):
            while not self.begin():
                async with trio.open_nursery() as nursery:
                    for i, waiting in self._waiting:
                        nursery.start_soon(self._finish_one, i, waiting, nursery.cancel_scope)
                self._waiting = []
            return
        self._outcomes = [outcome or late for outcome in self._outcomes]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return how the calls ended, in request order."""
        aborted = CallError(Code.BATCH_ABORTED, "Not run: an earlier call of the batch failed")
        return tuple([outcome or aborted for outcome in self._outcomes])

    async def _finish_one(self, i: int, waiting: Waiting, rest: trio.CancelScope) -> None:
        self._end(i, await self._dispatcher.finish(waiting))
        if self._stopped:
            rest.cancel()

    def _end(self, i: int, outcome: Outcome) -> None:
        self._outcomes[i] = outcome
        self._stopped |= self._batch.stop_on_error and isinstance(outcome, CallError)


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
