"""`priceverse bench`: how fast a server answers from here, one call after the other."""

import time
from typing import TYPE_CHECKING

import click

from priceverse.cli.remote import PRICES, echo_json, json_option, pairs_of, remote

if TYPE_CHECKING:
    from priceverse.net.client import Client


@click.command()
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True)
@json_option
@remote
def command(client: "Client", seconds: float, *, as_json: bool) -> None:
    """Call getPrice again and again on one connection and show the latency that a client here sees.

    What the server can bear is another question: tests/bench/api.py asks it.
    """
    from priceverse.net.client import Refused  # noqa: PLC0415 - `--help` stays fast

    pairs = pairs_of(client, ())
    took_ms: list[float] = []
    refused = 0
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        at_s = time.perf_counter()
        try:
            client.call(PRICES, "getPrice", pair=pairs[len(took_ms) % len(pairs)])
        except Refused:
            refused += 1
        took_ms.append((time.perf_counter() - at_s) * 1000)
    took_ms.sort()
    shares = {f"p{share}_ms": round(took_ms[len(took_ms) * share // 100], 3) for share in (50, 90, 99)}
    result = {"calls": len(took_ms), "refused": refused, "per_s": round(len(took_ms) / seconds, 1), **shares}
    if as_json:
        echo_json(result)
    else:
        click.echo("  ".join(f"{name} {value}" for name, value in result.items()))
