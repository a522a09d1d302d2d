"""How often the interpreter looks for cyclic garbage: rarely, for trades are many and have no cycles.

With Python's defaults a third of the time that a trade takes goes into looking at trades. The rule: what is there when
the work begins is never looked at again, and the young are looked at when they are as many as a busy second's trades.
"""

import gc

YOUNG = 100_000


def collect_rarely() -> None:
    """Tune the collector of this process, once everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
