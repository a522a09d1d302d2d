"""Every trade of every frame on disk, with its exact digits, and no other; every oddity as its expectation says."""

import sys

import pytest

from priceverse.model.trade import Trade
from tests.unit.exchanges.frame_files import FOLDERS, WIRE, decoded, files, kind_of, trade_keys


def pytest_generate_tests(metafunc):
    if "edge" in metafunc.fixturenames:
        cases = [
            pytest.param(file, frame, edge, id=f"{file}-{edge['frame']}")
            for file in files(".edge.jsonl")
            for frame, edge in zip(file.frames(), file.expected(), strict=True)
        ]
        metafunc.parametrize(("file", "frame", "edge"), cases)
    elif "file" in metafunc.fixturenames:
        metafunc.parametrize("file", files(".jsonl"), ids=str)


def test_captured_frames_are_read_or_said_to_be_absent(capsys):
    if WIRE not in FOLDERS:
        with capsys.disabled():
            sys.stdout.write(f"\ncaptured frames: no {WIRE}, so only the frames of tests/frames are read\n")
    assert files(".jsonl")


def test_every_trade_and_no_other(file):
    assert list(decoded(file)) == file.expected()


def test_text_and_bytes_say_the_same(file):
    adapter = file.adapter()
    for frame in file.frames():
        assert adapter.receive(frame.decode()) == adapter.receive(frame)


def test_oddity(file, frame, edge):
    items = file.adapter().receive(frame)
    trades = [trade_keys(item) for item in items if isinstance(item, Trade)]
    kinds = {kind_of(item) for item in items}
    match edge["cls"]:
        case "lenient":
            assert trades in (edge["trades"], [])
        case "partial":
            assert trades == edge["trades"]
            assert "malformed" in kinds
        case kind:
            assert trades == edge["trades"]
            assert kinds == {kind}
