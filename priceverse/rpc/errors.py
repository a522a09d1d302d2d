"""Every error a client can meet: its code, its HTTP status, and the one exception that carries it to the reply.

A `CallError` is an answer, not an accident: its message and details are written for the client. Whatever else escapes a
method is ours, and reaches the client as INTERNAL without a word of detail.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from priceverse.rpc.limits import Quota


class Code(StrEnum):
    """The table of error codes; `status` is the HTTP status of a reply that carries the code."""

    status: int

    def __new__(cls, value: str, status: int) -> Self:
        """Make a member of a code and its HTTP status."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        return member

    PAIR_NOT_FOUND = "PRICE_1001", 404
    PRICE_UNAVAILABLE = "PRICE_1002", 503
    PRICE_STALE = "PRICE_1003", 503
    CHART_DATA_NOT_FOUND = "CHART_2001", 404
    INVALID_TIME_RANGE = "CHART_2002", 400
    INVALID_INTERVAL = "CHART_2003", 400
    EXCHANGE_DISCONNECTED = "EXCHANGE_3001", 503
    EXCHANGE_RATE_LIMITED = "EXCHANGE_3002", 503
    EXCHANGE_NOT_SUPPORTED = "EXCHANGE_3003", 400
    INVALID_PAIR = "VALIDATION_4001", 400
    INVALID_PERIOD = "VALIDATION_4002", 400
    INVALID_DATE = "VALIDATION_4003", 400
    INVALID_PARAMETER = "VALIDATION_4004", 400
    DATABASE = "SYSTEM_5001", 503
    REDIS = "SYSTEM_5002", 503
    INTERNAL = "SYSTEM_5003", 500
    OVERLOADED = "SYSTEM_5004", 503
    STREAM_ABORTED = "STREAM_6001", 503
    STREAM_TIMEOUT = "STREAM_6002", 408
    BATCH_ABORTED = "BATCH_ABORTED", 503
    BAD_REQUEST = "400", 400
    UNAUTHORIZED = "401", 401
    NOT_FOUND = "404", 404
    METHOD_NOT_ALLOWED = "405", 405
    TIMEOUT = "408", 408
    TOO_LARGE = "413", 413
    UNSUPPORTED_TYPE = "415", 415
    TOO_MANY_REQUESTS = "429", 429
    HEADERS_TOO_LARGE = "431", 431


OF_PARAMETER: Mapping[str, Code] = {
    "pair": Code.INVALID_PAIR,
    "period": Code.INVALID_PERIOD,
    "from": Code.INVALID_DATE,
    "to": Code.INVALID_DATE,
    "at": Code.INVALID_DATE,
    "interval": Code.INVALID_INTERVAL,
}
"""Which code refuses a parameter of this name; any other parameter is refused with INVALID_PARAMETER."""


class CallError(Exception):
    """The answer to a call is an error: `details` holds JSON values and Decimals, shown to the client.

    `retry_after_s` tells when it may be worth asking again, `quota` what the call cost its client.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        details: Mapping[str, object] | None = None,
        *,
        retry_after_s: float | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s
        self.quota = quota

    def again(self, **details: object) -> "CallError":
        """Return the same answer for one more caller: a raised exception is not raised twice."""
        return CallError(
            self.code, self.message, self.details | details, retry_after_s=self.retry_after_s, quota=self.quota
        )
