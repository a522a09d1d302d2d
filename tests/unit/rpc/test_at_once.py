"""Calls answered from memory: the same answer as by waiting, without any waiting."""

import pytest

from priceverse.rpc.dispatch import Dispatcher, Waiting
from priceverse.rpc.envelope import Call, Done
from priceverse.rpc.errors import CallError
from priceverse.rpc.method import Params, method
from priceverse.rpc.ports import Ports
from priceverse.rpc.registry import Registry
from tests.fakes.ports import World


class Word(Params, frozen=True):
    word: str


def remembered(params: Word, ports: Ports) -> str | None:
    if params.word == "broken":
        raise RuntimeError("the secret of the house")
    return params.word if params.word == "known" else None


@method("Memory@1.0.0", "recall", cache_s=5, at_once=remembered)
async def recall(params: Word, ports: Ports) -> str:
    """Return the word, after a while."""
    return f"found {params.word}"


@pytest.fixture
def dispatcher():
    return Dispatcher(Registry([recall]), World().ports, max_timeout_s=30)


def call(word: str) -> Call:
    return Call("Memory", "recall", f'{{"word":"{word}"}}'.encode())


def test_what_is_in_memory_is_answered_without_waiting(dispatcher):
    assert dispatcher.begin(call("known")) == Done("known", 5)


async def test_what_is_not_is_waited_for(dispatcher):
    begun = dispatcher.begin(call("other"))
    assert isinstance(begun, Waiting)
    assert await dispatcher.finish(begun) == Done("found other", 5)


async def test_run_does_the_one_or_the_other(dispatcher):
    assert [(await dispatcher.run(call(word))).data for word in ("known", "other")] == ["known", "found other"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Call("Nope", "x", b""), "404"),
        (Call("Memory", "recall", b"{}"), "VALIDATION_4004"),
        (call("broken"), "SYSTEM_5003"),
    ],
)
def test_what_is_wrong_needs_no_waiting_either(dispatcher, asked, code):
    refused = dispatcher.begin(asked)
    assert isinstance(refused, CallError)
    assert refused.code == code
