"""The page as files: whole, self-contained, and what its scripts look for is there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from priceverse import web
from priceverse.api import page as api_page
from priceverse.api.page import FETCHED, TYPES, UNSERVED, assets

FOLDER = Path(web.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES and path.name not in UNSERVED)
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
    asked = set(re.findall(r"\bparts\.(\w+)", scripts)) | set(re.findall(r'part\("(\w+)"\)', scripts))
    made = {"row", "element"}  # what was made of a template, itself
    assert asked - made == set(values(page, "data-part")) - {"scheme"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_another_host(path):
    addresses = set(
        re.findall(r"(?:https?:)?//[\w.-]+", re.sub(r"^\s*//.*$|;\s*//.*$", "", path.read_text(), flags=re.MULTILINE))
    )
    assert addresses <= {"http://www.w3.org", "https://www.tradingview.com"}  # a namespace and a link, never fetched


def test_nothing_is_inline(page):
    """The policy it is served with would refuse that."""
    assert "style" not in {name for _, attributes in page.elements for name in attributes}
    assert not [tag for tag, attributes in page.elements if tag == "script" and "src" not in attributes]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_what_the_page_and_its_scripts_load_is_served(page):
    linked = {value for name in ("src", "href") for value in values(page, name) if value.startswith("/")}
    loads = r'(?:from |import\()"\./([^"]+)"'
    imported = {f"/{name}" for script in SCRIPTS for name in re.findall(loads, script.read_text())}
    assert linked | imported == (set(assets()) - {"/"}) | {"/discover", "/health"}


def test_without_the_chart_library_an_empty_module_stands_in(monkeypatch):
    monkeypatch.setattr(api_page, "LIBRARY", "node_modules/nobody-has-this")
    found = assets()
    assert {path: found[path].body for path in FETCHED} == {path: instead for path, (_, instead) in FETCHED.items()}


def test_the_makers_of_the_chart_library_are_named(page):
    """Its licence asks for the notice and the link on the page."""
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert "https://www.tradingview.com/" in values(page, "href")
    assert "TradingView Lightweight Charts™" in text
    assert "TradingView, Inc." in text


def test_it_can_be_heard(page):
    assert ("html", {"lang": "en"}) in page.elements
    assert all("alt" in attributes for tag, attributes in page.elements if tag == "img")
    assert [attributes["id"] for _, attributes in page.elements if attributes.get("role") == "status"] == ["notice"]
    assert all(attributes.get("aria-hidden") == "true" for tag, attributes in page.elements if tag == "svg")


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


SURFACES = ("ground", "card", "raised", "chosen")
PAIRS = [
    *((text, ground) for text in ("text", "dim", "accent") for ground in SURFACES),
    *((text, ground) for text in ("up", "down") for ground in ("card", "raised", "chosen")),
    ("up", "good-ground"),
    ("down", "bad-ground"),
    ("warn", "warn-ground"),
    ("warn", "card"),
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(scheme, text, ground):
    """WCAG AA: 4.5 to 1."""
    both = r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);"
    colours = {name: pair[scheme] for name, *pair in re.findall(both, (FOLDER / "style.css").read_text())}
    dark, light = sorted((luminance(colours[text]), luminance(colours[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
