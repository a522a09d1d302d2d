"""The page as files: whole, self-contained, and what its scripts look for is there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from priceverse import web
from priceverse.api.page import TYPES, assets

FOLDER = Path(web.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES)
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
VOID = {"meta", "link", "img", "path", "br", "input"}


class Page(HTMLParser):
    """Collects elements and complains about tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"


@pytest.fixture(scope="module")
def page():
    page = Page()
    page.feed((FOLDER / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def values(page, attribute):
    return [found for _, attributes in page.elements if (found := attributes.get(attribute))]


def test_ids_are_unique_and_labels_point_at_them(page):
    ids = values(page, "id")
    assert len(ids) == len(set(ids))
    assert set(values(page, "aria-labelledby")) <= set(ids)


def test_every_id_that_a_script_asks_for_is_there(page):
    asked = {name for script in SCRIPTS for name in re.findall(r'byId\("([^"]+)"\)', script.read_text())}
    assert asked <= set(values(page, "id"))
    assert len(asked) >= 8


def test_every_part_that_a_script_fills_is_there(page):
    scripts = "".join(script.read_text() for script in SCRIPTS)
    asked = set(re.findall(r"this\.parts\.(\w+)", scripts)) | set(re.findall(r'part\("(\w+)"\)', scripts))
    assert asked == set(values(page, "data-part"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_another_host(path):
    addresses = set(
        re.findall(r"(?:https?:)?//[\w.-]+", re.sub(r"^\s*//.*$|;\s*//.*$", "", path.read_text(), flags=re.MULTILINE))
    )
    assert addresses <= {"http://www.w3.org"}  # a namespace, never fetched


def test_nothing_is_inline(page):
    """The policy it is served with would refuse that."""
    assert "style" not in {name for _, attributes in page.elements for name in attributes}
    assert not [tag for tag, attributes in page.elements if tag == "script" and "src" not in attributes]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_what_the_page_and_its_scripts_load_is_served(page):
    linked = {value for name in ("src", "href") for value in values(page, name)}
    imported = {f"/{name}" for script in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert linked | imported == (set(assets()) - {"/"}) | {"/discover", "/health"}


def test_it_can_be_heard(page):
    assert ("html", {"lang": "en"}) in page.elements
    assert all("alt" in attributes for tag, attributes in page.elements if tag == "img")
    assert [tag for tag, attributes in page.elements if attributes.get("role") == "status"] == ["p"]  # one voice
    assert all(attributes.get("aria-hidden") == "true" for tag, attributes in page.elements if tag == "svg")


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("text", "ground"),
        ("text", "card"),
        ("dim", "ground"),
        ("dim", "card"),
        ("accent", "ground"),
        ("up", "card"),
        ("down", "card"),
        ("up", "good-ground"),
        ("down", "bad-ground"),
        ("warn", "warn-ground"),
    ],
)
def test_text_stands_out_from_its_ground(scheme, text, ground):
    """WCAG AA: 4.5 to 1."""
    palettes = re.findall(r":root \{(.*?)\}", (FOLDER / "style.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", palettes[scheme]))
    dark, light = sorted((luminance(colours[text]), luminance(colours[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
