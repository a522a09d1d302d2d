"""Does the API keep its word? schemathesis reads a live instance's `/openapi.json` and tries to prove that it does not.

    python tests/bench/contract.py [EXAMPLES]

It installs schemathesis into a throw-away environment, starts `priceverse up` with the simulator and without rate
limits, and exits with schemathesis's verdict. An answer of 500 or above is a failure, and so is one of a status, type
or shape that is not in the document.
"""

import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CONFIG = "[api]\nopenapi_public = true\n[api.rate_limit]\nenabled = false\n"
ENDLESS = "/stream/prices"


@contextmanager
def instance(folder: Path) -> Iterator[str]:
    """A running instance; yields the URL of its API."""
    config = folder / "priceverse.toml"
    config.write_text(CONFIG, encoding="utf-8")
    up = [sys.executable, "-m", "priceverse", "up", "--port", "0"]
    command = [*up, "--state", str(folder / "state"), "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            url = line.split()[1] if line.startswith("page") else url
            if line.startswith("stop"):
                break
        try:
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)


def schemathesis(folder: Path) -> Path:
    """Install it where it harms nobody; return the program."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "schemathesis"], check=True)
    return folder / "bin/schemathesis"


def main() -> int:
    examples = sys.argv[1] if len(sys.argv) > 1 else "40"
    with tempfile.TemporaryDirectory(prefix="pv-contract-") as name:
        folder = Path(name)
        program = schemathesis(folder / "venv")
        with instance(folder) as url:
            flags = ["--exclude-path", ENDLESS, "--checks", CHECKS, "--max-examples", examples, "--no-color"]
            return subprocess.run([program, "run", f"{url}openapi.json", *flags], check=False, cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
