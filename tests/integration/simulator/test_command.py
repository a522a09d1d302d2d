"""`priceverse simulate` as a person runs it."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from priceverse.cli.simulate import command, variables
from priceverse.config.load import load
from priceverse.model.exchange import Exchange

MAIN = "from priceverse.cli import main; main()"


def test_a_taken_port_is_one_clear_line_and_exit_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command, ["--port", str(port)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"port {port}" in result.output


def test_the_variables_it_prints_configure_every_venue():
    settings = load(None, environ=variables(8700)).settings
    for exchange in Exchange:
        assert settings.exchanges.venue(exchange).ws_url == f"ws://127.0.0.1:8700/{exchange}"
        assert settings.exchanges.venue(exchange).rest_url == f"http://127.0.0.1:8700/{exchange}"
    assert settings.cbr.url == "http://127.0.0.1:8700/cbr/XML_daily.asp"


def test_with_tls_every_address_and_the_authority_are_named(tmp_path):
    settings = load(None, environ=variables(8700, tmp_path)).settings
    urls = [settings.exchanges.venue(exchange).ws_url for exchange in Exchange]
    assert {url.partition(":")[0] for url in urls} == {"wss"}
    assert settings.exchanges.tls_ca == settings.cbr.tls_ca == tmp_path / "client.pem"
    assert settings.cbr.url.startswith("https://")


def test_a_folder_without_a_certificate_says_how_to_make_one(tmp_path):
    result = CliRunner().invoke(command, ["--port", "0", "--tls", str(tmp_path)])
    assert result.exit_code == 1
    assert f"python -m trustme -d {tmp_path} -i 127.0.0.1 localhost" in result.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_quietly(stop, tmp_path):
    truth = tmp_path / "truth.jsonl"
    command_line = [sys.executable, "-c", MAIN, "simulate", "--port", "0", "--truth", str(truth)]
    with subprocess.Popen(
        command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}
    ) as process:
        assert process.stdout.readline().startswith("simulator: http://127.0.0.1:")
        process.send_signal(stop)
        _, complaints = process.communicate(timeout=10)
    assert (process.returncode, complaints) == (0, "stopped\n")
    assert truth.read_text(encoding="utf-8").endswith("}\n")
