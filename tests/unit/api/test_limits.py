"""The table of limits: what is written in it, what it forgets, and what it costs two processes to share it."""

import subprocess
import sys
import time
from hashlib import blake2b
from itertools import count, islice

import pytest

from priceverse.api import limits as module
from priceverse.api.limits import BUCKETS, SIZE_BYTES, WAYS, Limits, Table
from priceverse.rpc.limits import Limit

FEW = Limit(3, 60)


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch):
    """However slow the machine is, no call comes free meanwhile."""
    monkeypatch.setattr(module, "monotonic_ns", lambda: 10**15)


def admitted(limits, calls=10, client="a", method="m", limit=FEW):
    return sum(not limits.take(client, method, limit).wait_s for _ in range(calls))


def test_a_client_gets_its_share_of_each_method():
    limits = Limits(Table(None), {})
    assert admitted(limits) == 3
    assert admitted(limits, method="other") == 3
    assert admitted(limits, client="b") == 3
    assert admitted(limits) == 0


def test_configuration_and_clients_may_have_other_limits():
    limits = Limits(Table(None), {"m": 5}, lambda client, _: 7 if client == "key:1" else None)
    assert (admitted(limits), admitted(limits, client="key:1"), admitted(limits, method="n")) == (5, 7, 3)


def test_who_is_forgiven_begins_anew():
    table = Table(None)
    limits = Limits(table, {})
    admitted(limits)
    table.forgive("a", "m")
    assert admitted(limits) == 3


def test_what_one_process_took_the_other_has_not(tmp_path):
    one, two = (Limits(Table(tmp_path / "limits"), {}) for _ in range(2))
    assert [admitted(one, 2), admitted(two, 2), admitted(one)] == [2, 1, 0]
    assert (tmp_path / "limits").stat().st_mode & 0o777 == 0o600


def test_a_restart_forgives_nobody(tmp_path):
    assert admitted(Limits(Table(tmp_path / "limits"), {})) == 3
    assert admitted(Limits(Table(tmp_path / "limits"), {})) == 0


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * SIZE_BYTES, b"\xff" * SIZE_BYTES, b"pvlimit1" + b"\xff" * (SIZE_BYTES - 8)]
)
def test_a_file_of_somebody_else_is_made_ours(tmp_path, content):
    (tmp_path / "limits").write_bytes(content)
    table = Table(tmp_path / "limits")
    assert table.is_shared
    assert admitted(Limits(table, {})) == 3


def test_an_instant_of_long_ago_is_put_right():
    """Another process was halted between its look and its write."""
    table = Table(None)
    limits = Limits(table, {})
    slot, _ = table.find("a", "m")
    limits.take("a", "m", FEW)
    before = table.words[slot + 1]
    assert admitted(limits, 1) == 1
    table.words[slot + 1] = before
    assert admitted(limits) == 1


def test_without_a_place_for_the_file_a_process_counts_for_itself(tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(target)
    for path in (tmp_path / "no" / "such" / "folder", tmp_path, tmp_path / "link"):
        table = Table(path)
        assert not table.is_shared
        assert admitted(Limits(table, {})) == 3
    assert target.read_bytes() == b"precious"


def test_a_full_bucket_forgets_who_was_quiet_longest():
    table = Table(None)
    limits = Limits(table, {})
    clients = [f"c{n}" for n in range(BUCKETS * WAYS // 8)]
    for client in clients:
        limits.take(client, "m", FEW)
    assert len({table.find(client, "m")[0] for client in clients}) == len(clients)
    bucket = _bucket(table, "c0")
    rivals = list(islice((f"x{n}" for n in count() if _bucket(table, f"x{n}") == bucket), WAYS + 2))
    assert admitted(limits, client="c0") == 2
    for rival in rivals:
        limits.take(rival, "m", FEW)
    assert limits.take(rivals[-1], "m", FEW).remaining == 1  # it is in the table


def _bucket(table, client):
    digest = blake2b(f"{client}\0m".encode(), digest_size=8, key=table._salt).digest()
    return int.from_bytes(digest, "little", signed=True) % BUCKETS


HAMMER = """
import sys, time
from pathlib import Path
from priceverse.api import limits as module
from priceverse.api.limits import Limits, Table
from priceverse.rpc.limits import Limit

limits, limit, admitted = Limits(Table(Path(sys.argv[1])), {}), Limit(10_000, 60), 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20_000):
    sum(range(2000))  # a call does some 20 µs of other things
    admitted += not limits.take("a", "m", limit).wait_s
print(admitted)
"""


def test_processes_that_hammer_at_once_get_little_more_than_one_share(tmp_path):
    """At most 5 % more, beside what time itself gives back, though each asks as often as a handler can."""
    began = time.monotonic()
    processes = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path / "limits")], stdin=-1, stdout=-1, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    shares = [int(process.communicate(timeout=60)[0]) for process in processes]
    free = (time.monotonic() - began) * 10_000 / 60
    assert 10_000 <= sum(shares) <= 10_000 * 1.05 + free
