"""The documents as a reader at a terminal sees them: the commands to type, and those that a test cannot."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("etc/*.md")), ROOT / "sql/README.md", ROOT / "systemd/README.md")
LANGUAGES = {"sh", "json", "python", "js", "sql", "yaml", "text"}

NOT_TYPED = {
    "make test": "it is what runs this",
    "apt-get install": "it would change the machine; tests/programs.py has Debian's programs without installing them",
    "sudo": "root may not have it; the commands connect as the server's superuser `postgres` instead",
    "systemctl daemon-reload": "there is no systemd as process 1; tests/arch/test_systemd.py has it verify the units",
    "systemctl enable --now priceverse.socket": "as above; tests/integration/supervisor hands a root its listener",
    "systemctl enable --now priceverse": "as above; what the unit would execute is started, with its credentials",
    "systemctl start priceverse": "as above",
    "systemctl restart priceverse": "as above, and stopped first",
    "systemctl stop priceverse": "as above, stopped",
}
"""Command → why a test does not type it, and what it does instead."""


ELSEWHERE = {
    "make run": "what these commands are typed at was started by it",
    "priceverse up": "it is what `make run` does",
    "priceverse up --live --port 8080": "it would listen to the real exchanges",
    "priceverse run --config /etc/priceverse/priceverse.toml": "tests/e2e/test_guide.py, as the unit has it",
    "priceverse migrate --down 1": "tests/e2e/test_guide.py rolls back with it",
}
"""Command → which test does it otherwise."""


def blocks(page: Path, language: str, heading: str = "") -> list[str]:
    """Return a page's blocks of one language, below one heading if it is named."""
    text = page.read_text(encoding="utf-8")
    if heading:
        [text] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: Path, heading: str = "") -> list[str]:
    """Return what a reader types, one command each, in order."""
    text = "".join(blocks(page, "sh", heading)).replace("\\\n", " ")
    return [line for each in text.splitlines() if (line := re.sub(r"\s+#.*", "", each).strip())]


def in_line(page: Path, program: str) -> list[str]:
    """Return the commands of one program that stand in sentences and tables."""
    found = re.findall(rf"`({program} [^`]+)`", page.read_text(encoding="utf-8"))
    return [each.replace("\\|", "|") for each in found]
