"""The collector: one exchange's connection → trades on the bus, one process per exchange.

`feed` keeps a `session` connected for ever; the session reads frames, `intake` lets pass what `admission` admits,
`buffer` holds it, `publisher` writes it to the bus. `coverage` knows what is missing; `backfill` or `audit` fetch it
from the venue's `history`, `losses` tells what cannot be had. `vigil`, `subscription` and `reconnect` decide,
`ledger` counts, `serve` wires; `capture` keeps raw frames instead.
"""
