"""A headless Chromium over its DevTools protocol: open a page, ask it, look at it, hear everything it complains of."""

import base64
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell")
CARRIED = Path(__file__).parents[2] / ".venv/chromium/chromium"
"""Where `obtain.py` puts the one that npm carries, for a machine where nothing can be installed."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
    "--force-color-profile=srgb", "--hide-scrollbars", "--font-render-hinting=none", "--remote-debugging-port=0",
)  # fmt: skip
WAIT_S = 180.0
MAX_MESSAGE = 64 * 1024 * 1024


def find() -> str | None:
    """Return the browser's program; `PRICEVERSE_CHROMIUM` names another one."""
    named = os.environ.get("PRICEVERSE_CHROMIUM")
    installed = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    return named or installed or (str(CARRIED) if CARRIED.exists() else None)


@contextmanager
def launched() -> Iterator[str]:
    """Start a browser with a profile of its own; yield the address of its DevTools; end it."""
    program = find()
    assert program, "no Chromium here: python tests/web/obtain.py (or apt-get install chromium)"
    with tempfile.TemporaryDirectory(prefix="pv-chromium-", ignore_cleanup_errors=True) as profile:
        said = Path(profile) / "said.txt"
        with said.open("w") as stderr:
            process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip
        try:
            yield _address(process, said)
        finally:
            process.terminate()
            process.wait(timeout=WAIT_S)


def _address(process: "subprocess.Popen[bytes]", said: Path) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"^DevTools listening on (\S+)$", said.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"Chromium does not listen: {said.read_text(errors='replace')[-2000:]}")


class Page:
    """One tab in a context of its own. `faults` is what a person would see red in its console."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._number = itertools.count(1)
        self._waiting: dict[int, trio.Event] = {}
        self._replies: dict[int, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.received_bytes = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self._number)
        self._waiting[number] = trio.Event()
        with trio.fail_after(WAIT_S):
            await self._socket.send_message(json.dumps({"id": number, "method": method, "params": params}))
            await self._waiting[number].wait()
        reply = self._replies.pop(number)
        assert "error" not in reply, f"{method}: {reply['error']}"
        result: dict[str, Any] = reply["result"]
        return result

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page, awaited if it is a promise."""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    async def until(self, expression: str, within_s: float = WAIT_S) -> None:
        """Wait until an expression is true in the page."""
        with trio.move_on_after(within_s) as patience:
            await self.evaluate(
                "new Promise((good) => { const look = () => { let is = false; try { is = " + expression
                + " } catch {} is ? good() : setTimeout(look, 100) }; look(); })"
            )  # fmt: skip
        if patience.cancelled_caught:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {expression}\nfaults: {self.faults}\n{text}")

    async def text(self, selector: str) -> str:
        """Return what an element says."""
        said: str = await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return said

    async def open(self, url: str) -> None:
        """Go there and wait for the document."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.protocol.startsWith('http')")

    async def look(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Be a screen of this size, in this colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def press(self, key: str) -> None:
        """Press a key: Tab, Enter, ArrowRight…"""
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowLeft": 37}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text
            )

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what it looks like, the window or the whole page, as PNG."""
        clip = {}
        if whole:
            size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "scale": 1, **{k: math.ceil(size[k]) for k in ("width", "height")}}}
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)
        await trio.Path(path).write_bytes(base64.b64decode(shot["data"]))

    async def listen(self) -> None:
        """Hear replies and events until the tab is closed."""
        while True:
            try:
                said = json.loads(await self._socket.get_message())
            except ConnectionClosed:
                return
            if "id" in said:
                self._replies[said["id"]] = said
                self._waiting.pop(said["id"]).set()
            else:
                self._heed(said["method"], said["params"])

    def _heed(self, event: str, said: dict[str, Any]) -> None:
        match event:
            case "Runtime.exceptionThrown":
                self.faults.append(str(said["exceptionDetails"].get("exception", {}).get("description")))
            case "Runtime.consoleAPICalled" if said["type"] in {"error", "warning", "assert"}:
                self.faults.append(str([each.get("value") for each in said["args"]]))
            case "Log.entryAdded" if said["entry"]["level"] == "error":
                self.faults.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Network.loadingFinished":
                self.received_bytes += round(said["encodedDataLength"])


@asynccontextmanager
async def tab(browser: str) -> AsyncIterator[Page]:
    """Open a tab that shares nothing with any other; close it."""
    async with open_websocket_url(browser, max_message_size=MAX_MESSAGE) as root_socket, trio.open_nursery() as nursery:
        root = Page(root_socket)
        nursery.start_soon(root.listen)
        context = (await root.call("Target.createBrowserContext"))["browserContextId"]
        made = await root.call("Target.createTarget", url="about:blank", browserContextId=context)
        address = browser.partition("/devtools/")[0] + "/devtools/page/" + made["targetId"]
        async with open_websocket_url(address, max_message_size=MAX_MESSAGE) as socket:
            page = Page(socket)
            nursery.start_soon(page.listen)
            for domain in ("Page", "Runtime", "Log", "Network"):
                await page.call(f"{domain}.enable")
            await page.call("Emulation.setFocusEmulationEnabled", enabled=True)  # keys go to the tab that is asked
            await page.look(1280, 900)
            yield page
        await root.call("Target.disposeBrowserContext", browserContextId=context)
        nursery.cancel_scope.cancel()
