"""What a request's head says of the calls in it, read alike in either lane. Pure."""

from typing import Protocol

from priceverse.rpc.endpoint import Head


class Fields(Protocol):
    """A head's fields; whoever has them finds names in lower case."""

    def get(self, name: str, absent: str, /) -> str:
        """Return the first field of that name."""
        ...


def head_of(client: str, fields: Fields) -> Head:
    """Return what the head of a request says, for whose calls `client` is charged."""
    return Head(
        client=client,
        request_id=fields.get("x-request-id", ""),
        trace_id=fields.get("x-trace-id", ""),
        traceparent=fields.get("traceparent", ""),
    )
