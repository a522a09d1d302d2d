"""The README's examples, as they stand there, against a server: curl, Python, and the commands to type."""

import json
import re
import shlex
import sys
from pathlib import Path

import httpx
import pytest
import trio
from click.testing import CliRunner

from priceverse.cli import main

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
LOCAL = "http://127.0.0.1:3000"
ASK_A_SERVER = ("prices", "candles")


def example(language: str, begin: str = "") -> str:
    """Return the only block of a language that begins so."""
    [found] = re.findall(rf"^```{language}\n({begin}.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


async def test_curl(handler):
    """Sent as curl would send it: a new machine may have no curl."""
    words = shlex.split(example("sh", "curl").replace("\\\n", " ").replace(LOCAL, handler.url))
    assert words[:2] == ["curl", "-s"]
    url, flags = words[2], dict(zip(words[3::2], words[4::2], strict=True))
    name, _, value = flags["-H"].partition(": ")
    async with httpx.AsyncClient() as client:
        reply = await client.post(url, content=flags["-d"], headers={name: value})
    said = reply.json()
    assert (reply.status_code, said["data"]["priceExact"]) == (200, "64000.12345678")
    shown = json.loads(example("json"))
    assert set(shown) == set(said)
    assert set(shown["data"]) == set(said["data"])


async def test_python(handler):
    program = example("python").replace(LOCAL, handler.url)
    done = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
    assert done.stdout.decode() == "64000.12345678 from binance, kraken\n"


@pytest.mark.parametrize("line", re.findall(r"^priceverse .*$", README.partition("## Use it")[0], re.MULTILINE))
async def test_commands(handler, store_candles, line):
    words = shlex.split(line)[1:]
    if words[0] not in ASK_A_SERVER or "--watch" in words:  # those need a daemon, or never end
        done = CliRunner().invoke(main, [*words, "--help"])
        assert done.exit_code == 0
        return
    store_candles()
    done = await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, [*words, "--url", handler.url]))
    assert done.exit_code == 0, done.output
