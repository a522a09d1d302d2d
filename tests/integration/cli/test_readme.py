"""The README's examples of the API, as they stand there, against a handler: curl, Python, WebSocket.

JavaScript: tests/web/test_browser.py. The commands to type: tests/e2e/test_commands.py.
"""

import json
import re
import sys
from pathlib import Path

import trio
from trio_websocket import open_websocket_url

from tests import programs
from tests.integration.api.conftest import WAIT_S

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
LOCAL = "http://127.0.0.1:3000"


def example(language: str, begin: str = "") -> str:
    """Return the only block of a language that begins so."""
    [found] = re.findall(rf"^```{language}\n({begin}.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


async def test_curl(handler):
    line = example("sh", "curl").replace(LOCAL, handler.url)
    done = await trio.run_process(["bash", "-c", line], capture_stdout=True, env=programs.environment())
    said = json.loads(done.stdout)
    assert said["data"]["priceExact"] == "64000.12345678"
    shown = json.loads(example("json"))
    assert set(shown) == set(said)
    assert set(shown["data"]) == set(said["data"])


async def test_python(handler):
    program = example("python").replace(LOCAL, handler.url)
    done = await trio.run_process([sys.executable, "-c", program], capture_stdout=True)
    assert done.stdout.decode() == "64000.12345678 from binance, kraken\n"


async def test_the_websockets_messages(handler):
    """Each line that is sent gets what the next line shows, as far as it shows it."""
    lines = re.findall(r"^([→←]) (\{.*\})", example("text", "→"), re.MULTILINE)
    with trio.fail_after(WAIT_S):
        async with open_websocket_url(handler.url.replace("http", "ws") + "/netron/ws") as socket:
            for way, message in lines:
                if way == "→":
                    await socket.send_message(message)
                else:
                    said = json.loads(await socket.get_message())
                    shown = json.loads(message.replace(", …", ""))
                    assert {name: said[name] for name in ("id", "type")} == {
                        name: shown[name] for name in ("id", "type")
                    }
                    assert set(shown.get("data", {})) <= set(said.get("data", {}))
    assert [way for way, _ in lines] == ["→", "←", "→", "←"]
