"""nginx and HAProxy as `etc/` configures them, in front of a handler, all on loopback.

The documented file is used as it is: only addresses, ports and the certificate's place are this machine's.
"""

import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from priceverse.config.settings import Api, RateLimit, Settings, Supervisor
from tests import programs
from tests.integration.api.conftest import handler, publish, start, until, unused_port  # noqa: F401 - fixtures, found by name

ETC = Path(__file__).parents[3] / "etc"
NAME = "prices.example.org"
TIMEOUT_S = 60.0
LIMIT = 5
"""Calls of getPrice a minute of one client."""


@dataclass(frozen=True)
class Front:
    """A proxy, and how a client finds and believes it."""

    port: int
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Plan:
    """What is written for one proxy: the words that start it and those that check its file."""

    start: Sequence[str | Path]
    check: Sequence[str | Path]


def nginx(folder: Path, texts: dict[str, str], port: int) -> Plan:
    """Ours, included by a main file as Debian's includes it."""
    names = {
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": f"{folder}/certificate.pem",
        f"/etc/letsencrypt/live/{NAME}/privkey.pem": f"{folder}/certificate.pem",
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80": f"listen unix:{folder}/plain.sock",
    }
    put(folder / "site.conf", (ETC / "nginx/priceverse.conf").read_text(), texts | names)
    temporary = [f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {' '.join(temporary)} include {folder}/site.conf; }}\n"
    )
    words = [programs.find("nginx"), "-e", "stderr", "-p", folder, "-c", main]
    return Plan(words, [*words, "-t"])


def haproxy(folder: Path, texts: dict[str, str], port: int) -> Plan:
    """Ours alone: what Debian's file has before it tells where to log."""
    names = {f"/etc/haproxy/certs/{NAME}.pem": f"{folder}/certificate.pem", "bind :443": f"bind 127.0.0.1:{port}"}
    put(folder / "haproxy.cfg", (ETC / "haproxy/priceverse.cfg").read_text(), texts | names)
    words = [programs.find("haproxy"), "-f", folder / "haproxy.cfg"]
    return Plan([*words, "-db"], [*words, "-c"])


def put(file: Path, text: str, texts: dict[str, str]) -> None:
    """Write a documented file with this machine's values; what they stand for must be in it."""
    for said, here in texts.items():
        assert said in text, said
        text = text.replace(said, here)
    file.write_text(text)


def certified(folder: Path) -> ssl.SSLContext:
    """Write a certificate for loopback with its key; return who believes it."""
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    authority.configure_trust(trust)
    return trust


def taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def settings(redis_settings, database_settings, tmp_path):
    """As `etc/deployment.md` says: the proxy is believed, and nobody else."""
    limited = RateLimit.model_validate({"methods": {"getPrice": LIMIT}, "trusted_proxies": ["127.0.0.1/32"]})
    return Settings(
        redis=redis_settings,
        database=database_settings,
        api=Api(rate_limit=limited),
        supervisor=Supervisor(control_socket=tmp_path / "control.sock"),
    )


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
async def front(request, handler, tmp_path, unused_port):  # noqa: F811 - a fixture
    """Each proxy in front of the handler; its own check of the file has nothing to say."""
    plan_of: Callable[..., Plan] = request.param
    trust = certified(tmp_path)
    plan = plan_of(tmp_path, {"127.0.0.1:3000": f"127.0.0.1:{handler.port}"}, unused_port)
    checked = subprocess.run(  # noqa: ASYNC221 - nothing else happens yet
        plan.check, env=programs.environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in (checked.stdout + checked.stderr).lower(), checked.stderr
    said = tmp_path / "said"
    with said.open("wb") as stderr:
        process = subprocess.Popen(plan.start, env=programs.environment(), stdout=stderr, stderr=stderr)  # noqa: ASYNC220 - as above
    try:
        await until(lambda: taken(unused_port) or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        yield Front(unused_port, trust)
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_S)
