"""`python -m supervisor.ctl --socket PATH status`: the command line for a program that does not mount it in its own."""

from pathlib import Path

from supervisor.ctl import SOCKET_NAME, group

if __name__ == "__main__":
    group(lambda: Path(SOCKET_NAME))(prog_name="python -m supervisor.ctl")
