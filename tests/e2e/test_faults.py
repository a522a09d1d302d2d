"""What kills and what is missing: killed processes come back, absent exchanges are named, nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import psycopg
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.instance import PAIRS, Instance, alive, command_line, descendants, eventually, running
from tests.e2e.recompute import Truth

BACK_S = 15.0
EVERYWHERE = {
    *("trades", "trades_published", "exchange_connected", "exchange_reconnects", "gaps", "trades_backfilled"),
    *("exchange_skew_seconds", "ingest_latency_seconds", "stream_lag_entries", "stream_pending_entries"),
    *("window_trades", "price_age_seconds", "price_sources", "price_deviation_ratio", "publish_latency_seconds"),
    *("prices_published", "history_rows", "candle_commits", "rate_age_days", "requests", "request_latency_seconds"),
    *("cache_lookups", "breaker_state", "database_latency_seconds", "database_connections", "redis_latency_seconds"),
    *("redis_memory_ratio", "disk_used_ratio", "alerts_firing", "child_up", "child_state", "child_restarts"),
    *("child_resident_memory_bytes", "child_cpu_cores", "process_cpu_seconds", "pool_size", "pool_ready", "build"),
}
"""Of the metrics those that a healthy instance has samples of."""


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    state = tmp_path_factory.mktemp("faults")
    with running(state, "--seed", "11", "--truth", str(state / "truth.jsonl")) as it:
        for pair in PAIRS:
            eventually(lambda pair=pair: it.price(pair), bool, 60)
        yield it


def everything_moves(instance: Instance) -> None:
    now_ms = time.time() * 1000
    for pair in PAIRS:
        eventually(lambda pair=pair: instance.price(pair), lambda p: p and p["timestamp"] > now_ms, 45)


def rows_equal_the_truth(instance: Instance, begun: float) -> None:
    """Every row whose window lies within the 30 s after `begun` and a bit equals the truth, none is missing."""
    rows = eventually(
        lambda: instance.rows(
            "select pair::text, extract(epoch from timestamp)::bigint, price, volume from price_history"
            " where pair::text like '%%-usd' and timestamp between to_timestamp(%s) and to_timestamp(%s)",
            begun + 30,
            begun + 60,
        ),
        lambda found: len(found) == 12,
        120,
    )
    truth = Truth(instance.state / "truth.jsonl")
    for pair, at_s, price, volume in rows:
        assert (price, volume) == truth.index(pair, (at_s - 30) * 1000, at_s * 1000)[:2], (pair, at_s)


def test_killing_aggregators_loses_and_doubles_nothing(instance: Instance):
    """Rows of the time of the kills equal the truth: a successor rebuilds the window from the stream."""
    begun = time.time()
    for name in ("aggregator.0", "aggregator.1"):
        pid = eventually(instance.children, lambda c, name=name: name in c, BACK_S)[name]
        os.kill(pid, signal.SIGKILL)
        eventually(instance.children, lambda c, name=name, pid=pid: c.get(name, pid) != pid, BACK_S)
    rows_equal_the_truth(instance, begun)


def test_moving_pairs_between_aggregators_loses_and_doubles_nothing(instance: Instance):
    """A third member takes pairs over and gives them back; each is drained by the old owner first."""
    begun = time.time()
    before = instance.owners()
    instance.ctl("scale", "aggregator", "3")
    grown = eventually(instance.owners, lambda owners: "aggregator.2" in owners.values(), 30)
    assert grown.keys() == before.keys()
    instance.ctl("scale", "aggregator", "2")
    eventually(
        instance.owners, lambda owners: owners.keys() == before.keys() and "aggregator.2" not in owners.values(), 30
    )
    rows_equal_the_truth(instance, begun)


def test_a_rolling_restart_fails_no_request(instance: Instance):
    before = instance.children()
    answers: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(instance.get("/health/live")[0])

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    instance.ctl("restart", "api", "--rolling")
    done.set()
    for client in clients:
        client.join(30)
    assert set(answers) == {200}
    after = instance.children()
    assert {before["api.0"], before["api.1"]}.isdisjoint(after.values())


@pytest.mark.parametrize(
    "name", ["collector.binance", "aggregator.0", "aggregator.1", "api.0", "rates", "housekeeper", "simulator"]
)
def test_a_killed_child_is_replaced_and_prices_go_on(instance: Instance, name):
    before = eventually(instance.children, lambda c: name in c, BACK_S)[name]
    os.kill(before, signal.SIGKILL)
    eventually(instance.children, lambda c: c.get(name, before) != before, BACK_S)
    everything_moves(instance)


def families(instance: Instance) -> list[Metric]:
    """The instance's metrics, as a stranger's parser reads them."""
    url = next(line.split()[1] for line in instance.lines if line.startswith("metrics"))
    with urllib.request.urlopen(url, timeout=10) as reply:
        return list(text_string_to_metric_families(reply.read().decode()))


def test_the_metrics_of_every_part_are_on_one_page(instance: Instance):
    instance.price("btc-usd")
    shown = eventually(
        lambda: {family.name.removeprefix("priceverse_") for family in families(instance) if family.samples},
        lambda names: names >= EVERYWHERE,
        30,
    )
    assert EVERYWHERE - shown == set()


def counted(instance: Instance) -> dict[tuple[str, ...], float]:
    """Every counter by its name and labels."""
    samples = (sample for family in families(instance) if family.type == "counter" for sample in family.samples)
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


def test_what_a_killed_process_has_counted_stays_counted(instance: Instance):
    restarts = ("priceverse_child_restarts_total", "collector.kraken")
    trades = ("priceverse_trades_total", "btc-usd", "kraken")
    before = eventually(lambda: counted(instance), lambda now: now.get(trades, 0) > 0, 60)
    os.kill(
        eventually(instance.children, lambda c: "collector.kraken" in c, BACK_S)["collector.kraken"], signal.SIGKILL
    )
    at_once = eventually(lambda: counted(instance), lambda now: now[restarts] > before[restarts], BACK_S)
    later = eventually(lambda: counted(instance), lambda now: now[trades] > at_once[trades], 60)
    for earlier, now in ((before, at_once), (at_once, later)):
        assert {key for key, value in earlier.items() if now.get(key, 0) < value} == set()


def server_pid(instance: Instance, program: str) -> int:
    """The server process of this instance whose first argument names `program`."""
    for pid in descendants(instance.process.pid):
        words = command_line(pid)
        if program in words[0] and (program != "postgres" or "-D" in words):
            return pid
    raise AssertionError(f"no {program} below {instance.process.pid}")


@pytest.mark.parametrize("program", ["redis.sock", "postgres"])
def test_a_killed_server_is_restarted_and_prices_go_on(instance: Instance, program):
    os.kill(server_pid(instance, program), signal.SIGKILL)
    everything_moves(instance)
    eventually(lambda: fresh_rows(instance), lambda found: found > 0, 60)


def fresh_rows(instance: Instance) -> int:
    """How many rows history has of the last seconds; none while PostgreSQL is coming back."""
    try:
        ((count,),) = instance.rows(
            "select count(*) from price_history where timestamp > now() - interval '15 seconds'"
        )
    except psycopg.OperationalError:
        return 0
    return int(count)


def test_the_logs_are_one_object_a_line_and_no_child_crashed_by_itself(instance: Instance):
    lines = (instance.state / "priceverse.log").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "Traceback" in line]
    unasked = [line for line in instance.log() if line["event"] == "worker_exited" and not line["expected"]]
    assert {line["end"] for line in unasked} == {"SIGKILL"}


def test_sigterm_leaves_no_process_behind(tmp_path):
    with running(tmp_path / "state") as instance:
        below = descendants(instance.process.pid)
        assert len(below) > 10
        assert instance.stop() == 0
        assert not alive(below)


def test_killing_the_root_leaves_no_process_behind(tmp_path):
    with running(tmp_path / "state") as instance:
        below = descendants(instance.process.pid)
        instance.process.kill()
        eventually(lambda: alive(below), lambda left: not left, 10)
    with running(tmp_path / "state") as again:
        eventually(lambda: again.price("btc-usd"), bool, 60)


def test_unreachable_exchanges_are_named_and_retried(tmp_path):
    """`--live` differs from the simulator only in URLs; here nothing listens where they point."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refuses for as long as we hold it
        port = held.getsockname()[1]
        exchanges = ("binance", "kraken", "coinbase", "okx", "bybit", "kucoin")
        env = {f"PRICEVERSE_EXCHANGES__{name.upper()}__WS_URL": f"ws://127.0.0.1:{port}" for name in exchanges}
        env |= {f"PRICEVERSE_EXCHANGES__{name.upper()}__REST_URL": f"http://127.0.0.1:{port}" for name in exchanges}
        env |= {"PRICEVERSE_CBR__URL": f"http://127.0.0.1:{port}/"}
        with running(tmp_path / "state", "--live", env=env) as instance:
            health = eventually(
                lambda: instance.get("/health")[1]["checks"],
                lambda checks: (
                    sum(c["status"] == "down" and "refused" in str(c.get("message")) for c in checks.values()) >= 6
                ),
                30,
            )
            assert health["database"]["status"] == health["redis"]["status"] == "up"
            status, reply = instance.invoke("PricesService@2.0.0", "getPrice", pair="btc-usd")
            assert (status, reply["error"]["code"]) == (503, "PRICE_1002")
            assert len([name for name in instance.children() if name.startswith("collector.")]) == 6


def test_a_taken_port_is_one_clear_line(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "priceverse", "up", "--state", str(tmp_path / "state"), "--port", port],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: port {port} on 127.0.0.1: Address already in use: choose another with --port"
    ]


def test_a_second_instance_on_the_same_state_is_refused(tmp_path):
    with running(tmp_path / "state"):
        done = subprocess.run(
            [sys.executable, "-m", "priceverse", "up", "--state", str(tmp_path / "state"), "--port", "0"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "is in use by process" in done.stderr
    assert "Traceback" not in done.stderr
