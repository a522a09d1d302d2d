"""How the root writes down what happens in its tree."""

import io
import json

import pytest

from priceverse import log
from priceverse.cli import daemon
from supervisor.events import Event


@pytest.fixture
def written():
    """What the root has logged so far."""
    file = io.StringIO()
    log.configure(file=file, child="root", role="root")
    yield file
    log.configure()


def test_an_event_of_a_child_may_bring_any_data(written):
    data = {"self": 1, "event": "other", "child": "other", "worker": "other", "level": "warning", "n": 2}
    daemon._log(Event(name="said", at_ms=1, child="rates", data=data))
    line = json.loads(written.getvalue())
    assert (line["event"], line["child"], line["worker"], line["level"]) == ("said", "root", "rates", "warning")
    assert (line["self_"], line["event_"], line["child_"], line["n"]) == (1, "other", "other", 2)


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("word", ["method_name", "exception", "stack", "exc_info", "stack_info", "timestamp", "args"])
def test_no_word_that_structlog_has_a_meaning_for_ends_the_root(written, pretty, word):
    log.configure(file=written, pretty=pretty, child="root", role="root")
    daemon._log(Event(name="said", at_ms=1, child="rates", data={word: 1}))
    assert "said" in written.getvalue()
