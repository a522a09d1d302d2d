"""The draining TLS stream over memory: every record at once, both ways, and every kind of end."""

import ssl

import pytest
import trio
import trustme
from trio.testing import MemorySendStream, memory_stream_pair

from priceverse.net.tls import TlsStream, client_context

NAME = "exchange.example"
Pair = tuple[TlsStream, trio.SSLStream, trio.StapledStream]


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(NAME).configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
async def pair(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Pair:
    """Our client, a server, and the server's raw end."""
    ours, theirs = memory_stream_pair()
    server, client = contexts
    far = trio.SSLStream(theirs, server, server_side=True, https_compatible=True)
    near = TlsStream(ours, client, NAME)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.do_handshake)
        nursery.start_soon(near.do_handshake)
    return near, far, theirs


async def test_all_records_that_have_come_are_read_at_once(pair: Pair) -> None:
    near, far, _ = pair
    for n in range(50):
        await far.send_all(b"%02d" % n)
    assert await near.receive_some() == b"".join(b"%02d" % n for n in range(50))


async def test_a_record_in_pieces_is_waited_for(pair: Pair, nursery: trio.Nursery) -> None:
    near, far, theirs = pair
    assert isinstance(theirs.send_stream, MemorySendStream)
    held: list[bytes] = []
    send = theirs.send_all

    async def hold(data: bytes) -> None:
        held.append(bytes(data))
        await trio.lowlevel.checkpoint()

    theirs.send_all = hold  # type: ignore[method-assign]
    await far.send_all(b"hello")

    async def trickle() -> None:
        for byte in b"".join(held):
            await send(bytes([byte]))

    nursery.start_soon(trickle)
    assert await near.receive_some() == b"hello"


async def test_what_two_tasks_send_is_not_mixed(pair: Pair) -> None:
    near, far, _ = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, b"a" * 40_000)
        nursery.start_soon(near.send_all, b"b" * 40_000)
    got = b""
    while len(got) < 80_000:
        got += bytes(await far.receive_some())
    assert got in (b"a" * 40_000 + b"b" * 40_000, b"b" * 40_000 + b"a" * 40_000)


async def test_an_end_reads_as_the_end_after_the_last_data(pair: Pair) -> None:
    near, far, theirs = pair
    await far.send_all(b"last words")
    await theirs.send_stream.aclose()
    assert await near.receive_some() == b"last words"
    assert await near.receive_some() == b""


async def test_bytes_that_are_no_tls_break_the_stream(pair: Pair) -> None:
    near, _, theirs = pair
    await theirs.send_all(b"plain text, which nobody agreed on")
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()


async def test_leaving_in_the_handshake_breaks_it(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.aclose()
    near = TlsStream(ours, contexts[1], NAME)
    with pytest.raises(trio.BrokenResourceError):
        await near.do_handshake()


async def test_another_name_is_refused(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = memory_stream_pair()
    server, client = contexts
    far = trio.SSLStream(theirs, server, server_side=True)
    near = TlsStream(ours, client, "evil.example")

    async def serve() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await far.do_handshake()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(ssl.SSLCertVerificationError):
            await near.do_handshake()
        await ours.aclose()


def test_a_context_for_a_plain_url_trusts_nobody() -> None:
    plain = client_context("ws://127.0.0.1", None)
    assert plain.verify_mode is ssl.CERT_REQUIRED
    assert plain.check_hostname
    assert plain.get_ca_certs() == []
    assert client_context("wss://a", None) is client_context("https://b", None)
