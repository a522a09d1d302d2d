"""What the dashboard and the alert rules ask Prometheus for is what the program exposes."""

import json
import re
from pathlib import Path

import pytest

from priceverse.metrics import catalogue
from priceverse.metrics.metric import Kind

ETC = Path(__file__).parents[2] / "etc"
SHIPPED = ("grafana/priceverse.json", "prometheus/alerts.yml")
SUFFIXES = {Kind.COUNTER: ("_total",), Kind.INFO: ("_info",), Kind.HISTOGRAM: ("_bucket", "_count", "_sum")}
EXPOSED = {
    f"{metric.full_name}{suffix}": metric for metric in catalogue.ALL for suffix in SUFFIXES.get(metric.kind, ("",))
}
_NAME = re.compile(r"priceverse_[a-z_]+")
_SELECTOR = re.compile(r"(?P<name>priceverse_[a-z_]+)\{(?P<labels>[^}]*)\}")


def expressions(name):
    """Every expression in a file that is shipped."""
    text = (ETC / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        return [target["expr"] for panel in json.loads(text)["panels"] for target in panel.get("targets", ())]
    return [block.partition("\n        labels:")[0].partition("\n        for:")[0] for block in text.split("expr:")[1:]]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_metric_asked_for_is_exposed(name):
    asked = {found for each in expressions(name) for found in _NAME.findall(each)}
    assert asked
    assert asked <= EXPOSED.keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_label_asked_for_is_declared(name):
    for found in (found for each in expressions(name) for found in _SELECTOR.finditer(each)):
        labels = {part.partition("=")[0].rstrip("!").strip() for part in found["labels"].split(",")}
        assert labels <= {*EXPOSED[found["name"]].label_names, "le"}


def test_panels_do_not_lie_on_each_other():
    taken = set()
    for panel in json.loads((ETC / "grafana/priceverse.json").read_text(encoding="utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
