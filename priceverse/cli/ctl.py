"""`priceverse ctl`: the supervisor's control commands, pointed at this program's socket."""

from pathlib import Path

from priceverse.cli.settings import load_or_exit
from supervisor.ctl import group

UP_SOCKET = Path(".priceverse/control.sock")


def _find_socket() -> Path:
    """Return the configured socket if it is there, else that of `priceverse up` in this directory."""
    configured: Path = load_or_exit(None).settings.supervisor.control_socket
    return configured if configured.exists() or not UP_SOCKET.exists() else UP_SOCKET


command = group(_find_socket)
