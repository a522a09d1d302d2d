"""What the benches share: ours and the peers started on one and the same child program, what they say, and tables.

Peers (supervisord 4.3.0, circus 0.19.0) go into a throw-away environment; one that cannot be had is named and left
out. The rule: every moment is read from the monotonic clock, which all processes of a machine share.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))  # for tests.e2e, which drives whole instances
CHILD = (sys.executable, str(HERE / "child.py"))
PEERS = ("supervisor==4.3.0", "circus==0.19.0")
START_S = 60.0
UNLIMITED = {"PRICEVERSE_API__RATE_LIMIT__ENABLED": "false"}
"""Environment of an instance that one client may ask as often as a bench does."""


class Ears:
    """A datagram socket on which children and root say what happened; always listened to, or they would wait."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ears")
        self._words: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            word = json.loads(self._sock.recv(1 << 16))
            with self._heard:
                self._words.append(word)
                self._heard.notify_all()

    def all_of(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the words heard so far of this event and these fields, in the order of arrival."""
        wanted = {"event": event, **fields}
        return [word for word in self._words.copy() if all(word.get(key) == value for key, value in wanted.items())]

    def hear(self, good: Callable[[], Any], within_s: float) -> Any:
        """Wait until `good()` is true and return that; its last answer when the time is over."""
        deadline_s = time.monotonic() + within_s
        with self._heard:
            while not (found := good()) and time.monotonic() < deadline_s:
                self._heard.wait(min(0.2, deadline_s - time.monotonic()))
        return found


class Root(ABC):
    """A supervisor with `size` children c0, c1, …, or with a pool of so many that serves `port`."""

    title: str
    path = ""
    """PYTHONPATH: none for peers, of whom one has a package of our name."""

    def __init__(self, folder: Path, ears: Ears, size: int, *, port: int = 0, env: Mapping[str, str] | None = None):
        self.folder, self.ears, self.size, self.port = folder, ears, size, port
        self._env = os.environ | {"PYTHONPATH": self.path} | (env or {})
        self._log = (folder / "log").open("ab")
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Write what the command needs."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what to start in the foreground."""

    @abstractmethod
    def restarts(self) -> Mapping[str, Callable[[], object]]:
        """Return the ways to restart the pool, by name; each returns when it is done or under way."""

    def start(self, within_s: float = START_S) -> bool:
        """Start it; return whether all children said that they are up."""
        before = len(self.ears.all_of("up"))
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=self._env
        )
        return self.ears.hear(lambda: len(self.ears.all_of("up")) >= before + self.size, within_s)

    def children(self) -> set[int]:
        """Return the children that run under this root."""
        return {pid for pid in processes_of(self.ears) if parent(pid) == self.process.pid}

    def pid_of(self, name: str) -> int:
        return int(self.ears.all_of("up", child=name)[-1]["pid"])

    def stop(self) -> None:
        """End it, and whatever of its children is left."""
        if self.process.poll() is None:
            for pid in self.children():
                signal_to(pid, signal.SIGCONT)
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in processes_of(self.ears):
            signal_to(pid, signal.SIGKILL)

    def run(self, *command: str) -> None:
        subprocess.run(command, check=True, stdout=self._log, stderr=self._log, env=self._env, timeout=120)


class Ours(Root):
    title = "this supervisor"
    path = str(Path(__file__).parents[3])

    def prepare(self) -> None:
        self.control = self.folder / "control.sock"

    def command(self) -> Sequence[str]:
        root = (sys.executable, str(HERE / "root.py"))
        return (*root, str(self.control), self.ears.path, str(self.size), str(self.port))

    def restarts(self) -> Mapping[str, Callable[[], object]]:
        return {"restart --rolling": lambda: ctl(self.control, "restart", target="web", rolling=True, timeout=60.0)}


class Supervisord(Root):
    title = "supervisord 4.3"
    binary = "supervisord"

    def prepare(self) -> None:
        socket_path, config = self.folder / "supervisor.sock", self.folder / "supervisord.conf"
        common = "autorestart=true\nstartsecs=0\nstdout_logfile=NONE\nredirect_stderr=true\n"
        command = f"{CHILD[0]} {CHILD[1]} {self.ears.path}"
        programs = [f"[program:c{n}]\ncommand={command} c{n}\n{common}" for n in range(self.size)]
        if self.port:
            pool = f"[fcgi-program:web]\nsocket=tcp://127.0.0.1:{self.port}\nnumprocs={self.size}\n"
            programs = [f"{pool}process_name=web_%(process_num)d\ncommand={command} web 0\n{common}"]
        config.write_text(
            f"[supervisord]\nnodaemon=true\nuser=root\nlogfile={self.folder}/supervisord.log\n"
            f"pidfile={self.folder}/pid\nchildlogdir={self.folder}\n"
            f"[unix_http_server]\nfile={socket_path}\n[supervisorctl]\nserverurl=unix://{socket_path}\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n" + "".join(programs)
        )

    def command(self) -> Sequence[str]:
        return (peer("supervisord"), "-c", str(self.folder / "supervisord.conf"))

    def restarts(self) -> Mapping[str, Callable[[], object]]:
        ctl = (peer("supervisorctl"), "-c", str(self.folder / "supervisord.conf"), "restart")
        members = [f"web:web_{number}" for number in range(self.size)]
        return {
            "restart web:*": lambda: self.run(*ctl, "web:*"),
            "restart, one by one": lambda: [self.run(*ctl, member) for member in members],
        }


class Circus(Root):
    title = "circus 0.19"
    binary = "circusd"
    check_delay_s = 0.0
    """0: its default, which is 5 s."""

    def prepare(self) -> None:
        common = "copy_env = True\ngraceful_timeout = 10\nmax_retry = -1\n"
        command = f"{CHILD[0]} {CHILD[1]} {self.ears.path}"
        watchers = [f"[watcher:c{n}]\ncmd = {command} c{n}\n{common}" for n in range(self.size)]
        if self.port:
            pool = f"[watcher:web]\ncmd = {command} web $(circus.sockets.web)\nnumprocesses = {self.size}\n{common}"
            watchers = [f"{pool}use_sockets = True\n[socket:web]\nhost = 127.0.0.1\nport = {self.port}\n"]
        self._endpoint = f"ipc://{self.folder}/endpoint"
        delay = f"check_delay = {self.check_delay_s}\n" if self.check_delay_s else ""
        (self.folder / "circus.ini").write_text(
            f"[circus]\n{delay}endpoint = {self._endpoint}\npubsub_endpoint = ipc://{self.folder}/pubsub\n"
            + "".join(watchers)
        )

    def command(self) -> Sequence[str]:
        return (peer("circusd"), str(self.folder / "circus.ini"))

    def restarts(self) -> Mapping[str, Callable[[], object]]:
        ctl = (peer("circusctl"), "--timeout", "60", "--endpoint", self._endpoint)
        return {
            "restart web": lambda: self.run(*ctl, "restart", "web", "--waiting"),
            "reload web": lambda: self.run(*ctl, "reload", "web", "--waiting"),
        }


class QuickCircus(Circus):
    title = "circus 0.19, check_delay 0.5 s"
    check_delay_s = 0.5


# --- the peers' environment

_bin = Path()


def peer(program: str) -> str:
    return str(_bin / program)


@contextmanager
def peers(arguments: argparse.Namespace, *, quick: bool = False) -> Iterator[list[type[Root]]]:
    """Yield the supervisors to measure, ours first; `quick`: circus a second time with a shorter check delay."""
    global _bin  # noqa: PLW0603 -- the one place that knows where they are
    with ExitStack() as stack:
        if arguments.alone:
            yield [Ours]
            return
        folder = arguments.peers or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        _bin = folder / "bin"
        if not arguments.peers:
            install(folder)
        wanted = [Supervisord, Circus, *([QuickCircus] if quick else [])]
        yield [Ours, *(each for each in wanted if Path(peer(each.binary)).exists())]


def install(folder: Path) -> None:
    """Put the peers into a virtual environment, those that can be had."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as fault:
        print(f"peers not available: no virtual environment: {fault}")
        return
    for each in PEERS:
        command = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", each]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        if done.returncode:
            print(f"peer not available: {each}: {done.stderr.strip().splitlines()[-1]}")


@contextmanager
def on_stage(which: type[Root], size: int, **more: Any) -> Iterator[Root]:
    """Yield a supervisor that runs with all its children up; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="stage-") as name:
        folder = Path(name)
        root = which(folder, Ears(folder), size, **more)
        try:
            if not root.start():
                raise SystemExit(f"{root.title} did not start: {(folder / 'log').read_text()[-2000:]}")
            yield root
        finally:
            root.stop()


# --- processes


def ctl(control: Path, command: str, **args: object) -> Any:
    """Ask a daemon of ours."""
    from supervisor.ctl.client import Client

    with Client(control) as client:
        return client.call(command, args)


def signal_to(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X", "0"]


def runs(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    return _fields(pid)[0] not in {"Z", "X"}


def parent(pid: int) -> int:
    return int(_fields(pid)[1]) if runs(pid) else 0


def processes_of(ears: Ears) -> set[int]:
    """Return the benches' children that run, whoever their parent is: each has the ears' path on its command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if ears.path.encode() in words and CHILD[1].encode() in words and runs(int(entry.name)):
                    found.add(int(entry.name))
    return found


def gone_within(pids: Collection[int], seconds: float) -> float | None:
    """Return after how many seconds none of the processes ran any more, None if some still do."""
    begun_s = time.monotonic()
    while any(map(runs, pids)):
        if time.monotonic() - begun_s > seconds:
            return None
        time.sleep(0.005)
    return time.monotonic() - begun_s


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- figures


def options(doc: str, **numbers: float) -> argparse.Namespace:
    """Parse the command line: `--alone`, `--peers`, and a number for each of the given defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--peers", type=Path, help="an environment that has the peers already")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    return parser.parse_args()


def quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that a share `q` of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))]


def spread(values: Sequence[float]) -> tuple[str, str, str]:
    """Return median, p99 and maximum in seconds, for a table."""
    if not values:
        return "–", "–", "–"
    return f"{statistics.median(values):.3f}", f"{quantile(values, 0.99):.3f}", f"{max(values):.3f}"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, with the load of the machine that it was measured under."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    print(f"\n{title} (load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs)\n")
    print("\n".join(lines), flush=True)
