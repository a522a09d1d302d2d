"""The Bank of Russia's daily document over HTTP → a Rate.

The rule: an answer is judged by what it is, not by its status alone: the bank says errors with 200, its guards send
HTML.
"""

from datetime import date
from urllib.parse import urlsplit

from priceverse.clock import now_ms
from priceverse.config.settings import Cbr
from priceverse.exchanges.cbr import RateRefused, parse
from priceverse.model.rate import Rate
from priceverse.net.http import fetch
from priceverse.net.tls import client_context


async def read(cbr: Cbr, day: date | None = None) -> Rate:
    """Fetch and parse the newest document, or that of `day`. Raises NetError, RateRefused."""
    url = cbr.url if day is None else _of_day(cbr.url, day)
    tls = client_context(url, cbr.tls_ca)
    reply = await fetch(url, timeout_s=cbr.timeout_s, max_bytes=cbr.max_bytes, tls=tls)
    if "xml" not in reply.content_type:
        raise RateRefused(f"not XML but {reply.content_type[:60] or 'of no content type'}")
    document = parse(reply.body)
    return Rate(document.usd_rub, document.date, now_ms())


def _of_day(url: str, day: date) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}date_req={day:%d/%m/%Y}"
