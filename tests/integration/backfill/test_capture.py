"""Raw frames recorded from a market: read back by the adapters, played again by the simulator."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from priceverse.collector.capture import capture
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade
from priceverse.simulator.replay import trade_frames
from tests.conftest import ROOT
from tests.integration.backfill.conftest import Stage

Begin = Callable[..., Any]
COMMAND = "from priceverse.cli.capture import command; command()"
DEADLINE_S = 60.0
ENOUGH = 10


def trades(stage: Stage, exchange: Exchange, lines: list[bytes]) -> list[Trade]:
    adapter = ADAPTERS[exchange](stage.settings.symbols(exchange))
    return [item for line in lines for item in adapter.receive(line) if isinstance(item, Trade)]


@pytest.mark.parametrize("exchange", list(Exchange))
async def test_a_frame_a_line(stage: Begin, exchange: Exchange) -> None:
    scene = await stage(speed=5.0)
    recorded = bytearray()

    def live() -> list[Trade]:
        return [each for each in trades(scene, exchange, recorded.split(b"\n")[:-1]) if not each.historical]

    with trio.fail_after(DEADLINE_S), trio.CancelScope() as recording:

        def write(data: bytes) -> None:
            recorded.extend(data)
            if len(live()) >= ENOUGH:
                recording.cancel()

        await capture(scene.settings, exchange, DEADLINE_S, write)
    lines = recorded.decode().splitlines()
    played = [frame.text.encode() for frame in trade_frames(exchange, lines)]
    assert len(trades(scene, exchange, played)) == len(live()) >= ENOUGH


async def test_its_time_is_over(stage: Begin) -> None:
    scene = await stage()
    with trio.fail_after(DEADLINE_S):
        assert await capture(scene.settings, Exchange.KRAKEN, 0.1, bytes) is None


async def test_an_exchange_that_stays_away_is_told(stage: Begin) -> None:
    scene = await stage()
    nowhere = {"exchanges": {"kraken": {"ws_url": "ws://127.0.0.1:1"}, "max_reconnect_attempts": 2}}
    settings = scene.settings.model_validate(nowhere)
    with trio.fail_after(DEADLINE_S):
        ended = await capture(settings, Exchange.KRAKEN, 15, bytes)
    assert ended is not None
    assert "Connection refused" in ended.detail


async def test_interrupted_it_keeps_what_came(stage: Begin, tmp_path: Path) -> None:
    scene = await stage(speed=5.0)
    output = tmp_path / "kraken.jsonl"
    url = scene.settings.exchanges.kraken.ws_url
    run = [sys.executable, "-c", COMMAND, "kraken", "--seconds", "60", "--output", str(output)]
    start = partial(
        subprocess.Popen,
        run,
        env=os.environ | {"PRICEVERSE_EXCHANGES__KRAKEN__WS_URL": url},
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    with trio.fail_after(DEADLINE_S):
        child = start()
        while not output.exists() or output.stat().st_size < 1000:  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = await trio.to_thread.run_sync(child.communicate)
    assert child.returncode == 0
    assert b"frames of kraken" in said
    lines = output.read_bytes().removesuffix(b"\n").split(b"\n")
    assert trades(scene, Exchange.KRAKEN, lines)
