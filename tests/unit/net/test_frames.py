"""The splitter against wsproto as the oracle: same messages, same verdicts, wherever the bytes are cut."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import ParseFailed

from priceverse.net.frames import FrameSplitter

LIMIT = 1 << 20
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = False) -> bytes:
    first = (0x80 if fin else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x7f" + size.to_bytes(8, "big")
    if mask:
        return bytes([first, length[0] | 0x80]) + length[1:] + bytes(4) + payload
    return bytes([first]) + length + payload


def split(pieces: Iterator[bytes] | list[bytes], limit: int = LIMIT) -> tuple[list[bytes], bytes]:
    splitter = FrameSplitter(limit)
    fed = [splitter.feed(piece) for piece in pieces]
    return [message for messages, _ in fed for message in messages], b"".join(rest for _, rest in fed)


def library(data: bytes) -> tuple[list[bytes], list[Event], bool]:
    """What wsproto makes of `data`: whole messages, other events, whether it broke off."""
    connection = Connection(ConnectionType.CLIENT)
    messages, others, parts = [], [], b""
    try:
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                parts += event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
                if event.message_finished:
                    messages.append(parts)
                    parts = b""
            else:
                others.append(event)
    except ParseFailed:
        return messages, others, True
    return messages, others, any(isinstance(e, CloseConnection) and e.code in (1002, 1007, 1009) for e in others)


SAMPLE = (
    frame(TEXT, b'{"a":1}')
    + frame(PING, b"are you there")
    + frame(TEXT, b"x" * 126)
    + frame(BINARY, b"y" * 200)
    + frame(TEXT, b"frag", fin=False)
    + frame(PONG)
    + frame(CONTINUATION, b"", fin=False)
    + frame(CONTINUATION, b"mented")
    + frame(TEXT)
    + frame(CLOSE, b"\x03\xe8bye")
)
SAMPLE_MESSAGES = [b'{"a":1}', b"x" * 126, b"y" * 200, b"fragmented", b""]
SAMPLE_REST = frame(PING, b"are you there") + frame(PONG) + frame(CLOSE, b"\x03\xe8bye")


@pytest.mark.parametrize("cut", range(len(SAMPLE) + 1))
def test_a_cut_anywhere_changes_nothing(cut: int) -> None:
    assert split([SAMPLE[:cut], SAMPLE[cut:]]) == (SAMPLE_MESSAGES, SAMPLE_REST)


def test_single_bytes_change_nothing() -> None:
    assert split([SAMPLE[i : i + 1] for i in range(len(SAMPLE))]) == (SAMPLE_MESSAGES, SAMPLE_REST)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_every_length_encoding(size: int) -> None:
    data = frame(TEXT, b"z" * size) + frame(TEXT, b"next")
    for cut in (1, 2, 3, 4, 9, 10, 11, len(data) - 1):
        assert split([data[:cut], data[cut:]]) == ([b"z" * size, b"next"], b"")


VIOLATIONS = {
    "masked": frame(TEXT, b"masked", mask=True),
    "masked and empty": frame(TEXT, mask=True),
    "masked control": frame(PING, mask=True),
    "reserved bit": frame(TEXT, b"deflated?", reserved=0x40),
    "reserved bit of a control frame": frame(PING, reserved=0x10),
    "continuation of nothing": frame(CONTINUATION, b"x"),
    "message inside a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "fragment inside a message": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False),
    "unknown data opcode": frame(0x3, b"x"),
    "unknown control opcode": frame(0xB, b"x"),
    "fragmented ping": frame(PING, b"x", fin=False),
    "long ping": frame(PING, b"x" * 126),
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_what_breaks_the_protocol_is_judged_by_the_library(violation: bytes) -> None:
    data = frame(TEXT, b"good") + violation + frame(TEXT, b"never read as a message" * 10)
    for cut in range(len(data)):
        messages, rest = split([data[:cut], data[cut:]])
        assert messages[:1] == [b"good"]
        assert library(rest)[2]


def test_an_oversize_message_reaches_the_library_and_nothing_after_it_is_taken() -> None:
    data = frame(TEXT, b"x" * 1001)
    assert split([data, frame(TEXT, b"later")], limit=1000) == ([], data + frame(TEXT, b"later"))
    assert split([frame(TEXT, b"x" * 1000)], limit=1000) == ([b"x" * 1000], b"")


def test_an_oversize_length_is_refused_before_its_payload_comes() -> None:
    head = b"\x81\x7f" + (1 << 40).to_bytes(8, "big")
    assert split([head], limit=1000) == ([], head)


def test_fragments_that_grow_too_long_are_handed_over_from_their_first_byte() -> None:
    fragments = [frame(TEXT, b"a" * 600, fin=False), frame(CONTINUATION, b"b" * 600, fin=False)]
    assert split([*fragments, frame(CONTINUATION)], limit=1000) == ([], b"".join(fragments) + frame(CONTINUATION))


def test_empty_fragments_do_not_pile_up() -> None:
    splitter = FrameSplitter(1000)
    splitter.feed(frame(TEXT, fin=False))
    for _ in range(100_000):
        splitter.feed(frame(CONTINUATION, fin=False))
    assert len(splitter._fragments) < 1000
    assert splitter.feed(frame(CONTINUATION, b"end")) == ([b"end"], b"")


payloads = st.one_of(st.binary(max_size=40), st.sampled_from([b"p" * 125, b"q" * 126, b"r" * 300]))
texts = st.text("aé€😀", max_size=12).map(str.encode)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Legal server traffic: whole messages, fragmented ones with control frames between, pings."""
    data = b""
    for _ in range(draw(st.integers(0, 6))):
        controls = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=10))
        parts = draw(st.lists(texts, min_size=1, max_size=4))
        for at, part in enumerate(parts):
            data += draw(st.one_of(st.just(b""), controls))
            data += frame(CONTINUATION if at else TEXT, part, fin=at == len(parts) - 1)
        data += draw(st.one_of(st.just(b""), st.builds(frame, st.just(BINARY), payloads)))
    return data


@given(data=conversations(), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_legal_traffic_reads_as_the_library_reads_it(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    messages, rest = split([data[a:b] for a, b in pairwise(edges)])
    expected, controls, broken = library(data)
    assert not broken
    assert messages == expected
    assert library(rest)[1] == controls
    assert all(isinstance(event, Ping | Pong) for event in controls)


@given(pieces=st.lists(st.binary(max_size=60), max_size=6))
def test_arbitrary_bytes_neither_raise_nor_get_lost(pieces: list[bytes]) -> None:
    messages, rest = split(pieces, limit=100)
    assert sum(map(len, messages)) + len(rest) <= sum(map(len, pieces)) + 100
