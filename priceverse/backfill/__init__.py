"""Candles that our own trades do not give: before the first start, or while nothing ran. From the venues' own history.

    holes (plan) ─▶ every venue of the pair (venues) ─▶ one candle (combine) ─▶ price_history_*, source `backfill`

The rule: a bucket is filled once and only if it is empty, from all venues that have it or not at all, so an interrupted
run is simply run again.
"""
