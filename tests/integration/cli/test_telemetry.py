"""The root's two doors: its own socket, and an address that may be somebody else's for a while."""

import json
import socket
import sys
from functools import partial

import httpx
import pytest
import trio
import trio.testing

from priceverse.cli import telemetry
from priceverse.cli.telemetry import Telemetry
from priceverse.config.settings import Metrics, Settings, Supervisor
from priceverse.metrics import catalogue
from priceverse.metrics.listener import at, fetch
from supervisor import runtime
from supervisor.spec import ChildSpec, TreeSpec

WAIT_S = 30.0
ENDLESS = "import sys; sys.stdin.read()"


@pytest.fixture
async def running(nursery):
    """A tree of one child that never gets ready."""
    child = ChildSpec(name="mute", role="mute", argv=(sys.executable, "-c", ENDLESS), restart="temporary")
    run = partial(runtime.run, TreeSpec(children=(child,)), on_event=lambda _: None)
    yield await nursery.start(run)
    nursery.cancel_scope.cancel()


def configured(tmp_path, listen):
    return Settings(metrics=Metrics(listen=listen), supervisor=Supervisor(control_socket=tmp_path / "control.sock"))


async def until(condition):
    """Wait for something that has no event."""
    with trio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.01)


async def test_both_doors_show_the_tree(nursery, running, tmp_path):
    settings = configured(tmp_path, "127.0.0.1:0")
    served = Telemetry(settings)
    nursery.start_soon(served.serve, running)
    await until(settings.metrics_socket.exists)
    await until(lambda: served.bound)
    with trio.fail_after(WAIT_S):
        samples = json.loads((await fetch(at(str(settings.metrics_socket)), "/samples", "")).body)
    assert [catalogue.CHILD_UP.name, ["mute", "mute"], 0] in samples
    host, port = served.bound["metrics"]
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=WAIT_S) as client:
        assert 'priceverse_child_up{child="mute",role="mute"} 0' in (await client.get("/metrics")).text
        assert (await client.get("/samples")).status_code == 404


async def test_the_socket_is_for_the_same_user_only(nursery, running, tmp_path):
    settings = configured(tmp_path, "")
    nursery.start_soon(Telemetry(settings).serve, running)
    await until(settings.metrics_socket.exists)
    assert settings.metrics_socket.stat().st_mode & 0o022 == 0


async def test_an_address_that_is_taken_is_tried_again(nursery, running, tmp_path, monkeypatch):
    monkeypatch.setattr(telemetry, "_RETRY_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = configured(tmp_path, f"127.0.0.1:{port}")
        served = Telemetry(settings)
        nursery.start_soon(served.serve, running)
        await until(settings.metrics_socket.exists)
        await trio.testing.wait_all_tasks_blocked()
        assert served.bound == {}
    await until(lambda: served.bound)
    assert served.bound == {"metrics": ("127.0.0.1", port)}


async def test_the_socket_goes_with_its_server(running, tmp_path):
    settings = configured(tmp_path, "")
    async with trio.open_nursery() as serving:
        serving.start_soon(Telemetry(settings).serve, running)
        await until(settings.metrics_socket.exists)
        serving.cancel_scope.cancel()
    assert list(tmp_path.iterdir()) == []
