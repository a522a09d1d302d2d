"""The units are well formed, as hardened as they claim, and speak of what the program has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from priceverse.cli import COMMANDS
from priceverse.config.load import CREDENTIALS
from priceverse.config.settings import Settings
from priceverse.topology import API_LISTENER

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE = (UNITS / "priceverse.service").read_text(encoding="utf-8")
SOCKET = (UNITS / "priceverse.socket").read_text(encoding="utf-8")


def test_the_exposure_score_is_at_most_1_5():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / "priceverse.service")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    score = re.search(r"Overall exposure level for priceverse\.service: ([0-9.]+)", done.stdout)
    assert score is not None
    assert float(score[1]) <= 1.5


@pytest.mark.parametrize("unit", ["priceverse.service", "priceverse.socket"])
def test_systemd_finds_no_fault(tmp_path, unit):
    """Verified in a folder of its own, with a program that exists there."""
    program = tmp_path / "priceverse"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for name in ("priceverse.service", "priceverse.socket"):
        shutil.copy(UNITS / name, tmp_path / name)
    service = tmp_path / "priceverse.service"
    service.write_text(SERVICE.replace("/opt/priceverse/.venv/bin/priceverse", str(program)), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "priceverse" in line and "dbus" not in line.lower()]
    assert (done.returncode, ours) == (0, [])


def test_the_units_name_what_the_program_has():
    command = re.search(r"ExecStart=\S+/priceverse (\S+)", SERVICE)
    assert command is not None
    assert command[1] in COMMANDS
    assert set(re.findall(r"LoadCredential=(\w+):", SERVICE)) == set(CREDENTIALS)
    assert f"FileDescriptorName={API_LISTENER}\n" in SOCKET
    assert f"ListenStream={Settings().app.port}\n" in SOCKET
    runtime = re.search(r"RuntimeDirectory=(\S+)", SERVICE)
    assert runtime is not None
    assert Settings().supervisor.control_socket.parent == Path("/run") / runtime[1]
