"""The deployment guide, walked as it stands: installed from the wheel, upgraded, rolled back, restored.

Folders of the machine (`/opt`, `/etc`, …) are below a temporary one. What is not typed stands in `documents.NOT_TYPED`.
"""

import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from priceverse.embedded import cluster, find
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
from tests import programs, wheel
from tests.e2e.documents import NOT_TYPED, ROOT, commands
from tests.e2e.instance import eventually, exchanges

GUIDE, UNITS = ROOT / "etc/deployment.md", ROOT / "systemd/README.md"
PASSWORD = "typed-by-hand"
TIMEOUT_S = 300
FOLDERS = ("opt/priceverse", "etc/systemd/system", "etc/bash_completion.d", "usr/local/bin", "var/backups", "run")
CONFIGURED = re.compile(r"\bpriceverse (config check|migrate)\b")


class Host:
    """A machine of which only the stores are there already."""

    def __init__(self, root: Path, env: dict[str, str], wheels: dict[str, Path], typed: dict[str, str]) -> None:
        self.root = root
        self.env = env
        self.wheels = wheels
        self.typed = typed
        self.daemon: subprocess.Popen[bytes] | None = None

    def walk(self, page: Path, heading: str = "") -> str:
        """Do what a page says, or its part below one heading; return all that was said."""
        return "".join(map(self.do, commands(page, heading)))

    def do(self, line: str) -> str:
        """Do one line."""
        if line in NOT_TYPED or line.startswith("apt-get install"):
            self.instead(line)
            return ""
        return self.type(line)

    def type(self, line: str) -> str:
        """Type a command into a shell; it must succeed."""
        answer = next((text for name, text in self.typed.items() if name in line), "")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(line)], cwd=ROOT, env=self.env, input=answer,
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False, start_new_session=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def here(self, line: str) -> str:
        """The line as it must be on this host."""
        line = CONFIGURED.sub(rf"\g<0> --config {self.root}/etc/priceverse/priceverse.toml", line)
        line = re.sub(
            r"(?<![\w.])/(?=(opt|etc|usr/local|var)/)", f"{self.root}/", line.replace("sudo -u postgres ", "")
        )
        for name, file in self.wheels.items():
            line = line.replace(name, str(file))
        return line

    def instead(self, line: str) -> None:
        """What is done in place of a command that cannot be typed."""
        verb = shlex.split(line)[1]
        if verb in {"restart", "stop"}:
            self.stop()
        if verb in {"restart", "start"} or line == "systemctl enable --now priceverse":
            self.start()

    def start(self) -> None:
        """Start what the installed unit names, and wait for its READY as systemd does."""
        unit = (self.root / "etc/systemd/system/priceverse.service").read_text()
        [execute] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            path = self.root / "run/notify"
            path.unlink(missing_ok=True)
            notified.bind(str(path))
            notified.settimeout(TIMEOUT_S)
            given = {"NOTIFY_SOCKET": str(path), "CREDENTIALS_DIRECTORY": f"{self.root}/etc/priceverse/credentials"}
            with self.log.open("ab") as log:
                words = shlex.split(self.here(execute))
                self.daemon = subprocess.Popen(words, env=self.env | given, stdout=log, stderr=log)
            while b"READY=1" not in notified.recv(4096):
                assert self.daemon.poll() is None, self.log.read_text()[-2000:]

    def stop(self) -> None:
        """Stop it as systemd does."""
        if self.daemon is not None:
            self.daemon.terminate()
            assert self.daemon.wait(timeout=TIMEOUT_S) == 0
            self.daemon = None

    @property
    def log(self) -> Path:
        return self.root / "run/journal"

    def version(self) -> str:
        return str(json.loads(self.type("priceverse version --json"))["priceverse"])

    def rows(self) -> int:
        return int(self.type("psql -Atc 'SELECT count(*) FROM price_history' priceverse"))


@contextmanager
def stores(state: Path) -> Iterator[tuple[PostgresServer, RedisServer]]:
    """Servers as Debian's packages leave them: a superuser `postgres`, and nothing of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", programs.path())
        patch.setattr(cluster, "NAME", "postgres")
        patch.setattr(cluster, "_setup", lambda password: f"ALTER ROLE postgres PASSWORD '{password}'\n")
        servers = PostgresServer(state), RedisServer(state)
        try:
            for server in servers:
                server.start()
            yield servers
        finally:
            for server in servers:
                server.stop()


def environment(root: Path, postgres: PostgresServer, redis: RedisServer, at: dict[str, str]) -> dict[str, str]:
    """The shell of root on that host: its stores are not where the defaults have them, all else is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database, cache = postgres.settings, redis.settings
    bare = {name: value for name, value in programs.environment().items() if not name.startswith("PRICEVERSE_")}
    server_programs = find.postgres().path.parent
    return bare | at | {
        "PATH": f"{root}/usr/local/bin:{server_programs}:{bare['PATH']}",
        "PGHOST": str(database["host"]), "PGPORT": str(database["port"]),
        "PGUSER": "postgres", "PGPASSWORD": str(database["password"]), "PGDATABASE": "postgres",
        "PRICEVERSE_DATABASE__HOST": str(database["host"]), "PRICEVERSE_DATABASE__PORT": str(database["port"]),
        "PRICEVERSE_REDIS__UNIX_SOCKET": str(cache["unix_socket"]),
        "PRICEVERSE_APP__PORT": str(port), "PRICEVERSE_APP__HOST": "127.0.0.1",
        "PRICEVERSE_METRICS__LISTEN": "127.0.0.1:0",
        "PRICEVERSE_SUPERVISOR__CONTROL_SOCKET": f"{root}/run/control.sock",
        "PRICEVERSE_BACKFILL__ENABLED": "false",
        "PRICEVERSE_URL": f"http://127.0.0.1:{port}",
        "PIP_CONSTRAINT": str(root / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """This version and a later one, by the names that the guide has."""
    old, new = (wheel.copy(tmp_path_factory.mktemp(name)) for name in ("old", "new"))
    wheel.next_version(new)
    return {built.name: built for built in map(wheel.build, (old, new))}


@pytest.fixture
def host(tmp_path, state_dir, wheels) -> Iterator[Host]:
    """The stores run; nothing is installed. Versions are those of the lock file."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    pins = re.findall(r"^([\w.\[\]-]+==[^ \\]+(?: ;[^\\\n]*)?)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    (tmp_path / "constraints.txt").write_text("\n".join(re.sub(r"\[[^\]]*\]", "", pin) for pin in pins))
    state = state_dir / "guide"
    state.mkdir(mode=0o711)
    with StateDir(state), stores(state) as (postgres, redis), exchanges() as at:
        typed = {
            "database_password": PASSWORD,
            "redis_password": str(redis.settings["password"]),
            "createuser": f"{PASSWORD}\n{PASSWORD}\n",
        }
        host = Host(tmp_path, environment(tmp_path, postgres, redis, at), wheels, typed)
        yield host
        host.stop()


def test_the_guide_leads_there_and_back(host):
    for heading in ("Install", "PostgreSQL"):
        host.walk(GUIDE, heading)
    host.walk(UNITS)
    assert "supervisor         up" in host.walk(GUIDE, "Start")
    old = host.version()
    assert int(host.type("curl -fsS $PRICEVERSE_URL/lightweight-charts.js | wc -c")) > 100_000
    host.type("cmp systemd/priceverse.service /opt/priceverse/.venv/share/priceverse/systemd/priceverse.service")
    before = eventually(host.rows, lambda rows: rows > 0, TIMEOUT_S, every_s=1)
    for way in re.findall(r"`journalctl -u priceverse -o cat (\| jq '.*?')`", GUIDE.read_text()):
        host.type(f"grep '^{{' {host.log} {way}")

    assert "applied" in host.walk(GUIDE, "Upgrade")
    assert host.version() != old
    assert "novelty" in host.walk(GUIDE, "Roll back")
    assert host.version() == old

    host.type("psql -c 'DELETE FROM price_history' priceverse")
    host.walk(GUIDE, "Back up")
    assert host.rows() >= before
    assert len(list((host.root / "var/backups").iterdir())) == 2
