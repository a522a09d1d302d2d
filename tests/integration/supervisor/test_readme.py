"""The README of the package: its example runs, its table of commands is the declared one."""

import re
import subprocess
import sys
from pathlib import Path

import trio

import supervisor
from supervisor.commands import COMMANDS, usage
from supervisor.ctl.client import Client

README = (Path(supervisor.__file__).parent / "README.md").read_text()


def test_the_table_of_commands_is_the_declared_one():
    shown = README.partition("|---|---|\n<!--")[0]
    between = README.partition("<!-- commands -->")[2].partition("<!-- /commands -->")[0]
    assert shown
    assert between.splitlines()[3:] == [f"| `{usage(command)}` | {command.summary} |" for command in COMMANDS]


async def test_the_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) == 20
    script = tmp_path / "daemon.py"
    script.write_text(example.replace("port=8000", "port=0"))
    popen = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE)  # noqa: ASYNC220 -- the root under test
    assert popen.stdout is not None
    try:
        with trio.fail_after(20):
            while b"tree_ready" not in await trio.to_thread.run_sync(popen.stdout.readline):
                pass
            with Client(tmp_path / "state/control.sock") as client:
                host, port = client.call("status")["listeners"]["web"]
            steered = [sys.executable, "-m", "supervisor.ctl", "--state", str(tmp_path / "state"), "status"]
            await trio.run_process(steered, capture_stdout=True)
            async with await trio.open_tcp_stream(host, port) as stream:
                assert (await stream.receive_some(100)).startswith(b"hello from web.")
    finally:
        popen.terminate()
        popen.communicate(timeout=20)
        assert popen.returncode == 0
