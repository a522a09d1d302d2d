"""Pairs: how they are spelt and what they are made of."""

import re

PAIR = re.compile(r"[a-z0-9]{2,12}-[a-z0-9]{2,12}")
"""`base-quote`, lower case: `btc-usd`."""

REFERENCE_PAIR = "usdt-usd"
"""The pair whose index turns USDT prices into USD; without it they are not used, never taken at 1.0."""
