"""Every metric of the program, declared once.

Code counts with these names; the page, the dashboard and the alert rules show them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from priceverse.metrics.metric import Kind, Labels, Metric

_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LIVE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_declared: list[Metric] = []


def _declare(metric: Metric) -> Metric:
    _declared.append(metric)
    return metric


def _counter(name: str, text: str, *labels: str, by_child: bool = False) -> Metric:
    return _declare(Metric(name, Kind.COUNTER, text, labels, by_child))


def _gauge(name: str, text: str, *labels: str, by_child: bool = False) -> Metric:
    return _declare(Metric(name, Kind.GAUGE, text, labels, by_child))


def _histogram(name: str, text: str, buckets: tuple[float, ...], labels: Labels = ()) -> Metric:
    return _declare(Metric(name, Kind.HISTOGRAM, text, labels, buckets=buckets))


# --- collectors
TRADES = _counter("trades", "Trades admitted.", "exchange", "pair")
REJECTS = _counter("rejects", "Frames and rows that were no trade.", "exchange", "reason")
IGNORED = _counter("trades_ignored", "Trades that do not count: duplicate, historical, block.", "exchange", "reason")
PUBLISHED_TRADES = _counter("trades_published", "Trades written to their stream.", "exchange")
DROPPED = _counter("trades_dropped", "Trades given up while Redis was away.", "exchange")
CONNECTED = _gauge("exchange_connected", "1 while there is a connection.", "exchange")
RECONNECTS = _counter("exchange_reconnects", "Connections after the first.", "exchange")
LAST_TRADE = _gauge("exchange_last_trade_timestamp_seconds", "Exchange time of the newest trade.", "exchange")
GAPS = _counter("gaps", "Holes found in the sequence of trades.", "exchange")
GAPS_OPEN = _gauge("gaps_open", "Holes that are being filled.", "exchange")
BACKFILLED = _counter("trades_backfilled", "Missed trades fetched afterwards.", "exchange")
LOST = _counter("losses", "Times for which trades are lost for good.", "exchange")
CUT_UNREAD = _counter("stream_entries_cut", "Entries that Redis had no room for before they were read.", "exchange")
SKEW = _gauge("exchange_skew_seconds", "Median of our clock less the exchange's, over the latest trades.", "exchange")
QUEUE = _gauge("collector_queue", "Trades that wait for Redis.", "exchange")
INGEST = _histogram("ingest_latency_seconds", "From a live trade's own time to its being in the stream.",
                    (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0), ("exchange",))  # fmt: skip

# --- aggregators
STREAM_LAG = _gauge("stream_lag_entries", "Entries of a stream that its owner has not read.", "pair")
STREAM_PENDING = _gauge("stream_pending_entries", "Entries read and not acknowledged.", "pair")
WINDOW = _gauge("window_trades", "Trades in the price window.", "pair")
PRICE_AGE = _gauge("price_age_seconds", "Age of the newest trade in the price.", "pair")
SOURCES = _gauge("price_sources", "Venues that make the price.", "pair")
EXCLUDED = _gauge("price_excluded_sources", "Venues with trades that do not count.", "pair", "reason")
DEVIATION = _gauge("price_deviation_ratio", "Largest distance of a venue from the price, as a share of it.", "pair")
DISPERSION = _gauge("price_dispersion_bps", "Dispersion of the admitted venues, basis points.", "pair")
DEGRADED = _gauge("price_degraded", "1 while the only source could not be converted.", "pair")
RATE_FAULT = _gauge("price_rate_fault", "1 while derived pairs have no rate.", "pair")
PRICED_AT = _gauge("price_published_timestamp_seconds", "When the last live price of the pair was published.", "pair")
PUBLISHED = _counter("prices_published", "Live prices published.")
PUBLISH = _histogram("publish_latency_seconds", "From receiving a trade to publishing a price with it.", _LIVE)
ROWS = _counter("history_rows", "Rows of price_history committed.")
CANDLES = _counter("candle_commits", "Portions of candles committed.")
HISTORY_WAITING = _gauge("history_waiting_instants", "Settled instants that wait for PostgreSQL.", "pair")
HISTORY_DROPPED = _counter("history_dropped", "Settled instants given up while PostgreSQL was away.")
HISTORY_LAST = _gauge("history_last_timestamp_seconds", "Instant of the newest stored row.", "pair")

# --- rate
RATE_AGE = _gauge("rate_age_days", "Age of the Bank of Russia rate in force.")
RATE_FAILURES = _counter("rate_failures", "Questions to the Bank of Russia that failed.")
RATE_HELD = _gauge("rate_held", "1 while a rate is held because it jumped.")

# --- api
REQUESTS = _counter("requests", "Calls answered; code is ok or the error's.", "method", "code")
REQUEST = _histogram("request_latency_seconds", "Time a call took in the handler.", _FAST, ("method",))
CACHE = _counter("cache_lookups", "Answers looked for in memory: hit or miss.", "cache", "outcome")
LIMITED = _counter("limits_hit", "Calls refused by a rate limit.", "method")
CONNECTIONS = _gauge("api_connections", "Client connections.", by_child=True)
STREAMS = _gauge("api_streams", "Clients that follow prices.", by_child=True)
BREAKER = _gauge("breaker_state", "0 closed, 1 half open, 2 open.", "dependency", by_child=True)

# --- stores
DATABASE = _histogram("database_latency_seconds", "Time a transaction took, waiting for a connection included.", _FAST)
DATABASE_FAILURES = _counter("database_failures", "Transactions that PostgreSQL could not serve.", "reason")
DATABASE_POOL = _gauge("database_connections", "Connections: idle and in use.", "state", by_child=True)
DATABASE_WAITING = _gauge("database_waiting", "Transactions that wait for a connection.", by_child=True)
REDIS = _histogram("redis_latency_seconds", "Time a round trip to Redis took, blocking reads included.", _FAST)
REDIS_FAILURES = _counter("redis_failures", "Round trips that Redis could not serve.")
REDIS_MEMORY = _gauge("redis_memory_ratio", "Used memory of Redis as a share of its limit, or of the machine's memory.")
DISK = _gauge("disk_used_ratio", "Used share of the file system.", "path")

# --- alerts
ALERTS = _gauge("alerts_firing", "Alerts that somebody was told of and that are not over.")
NOTICES = _counter("alert_notices", "Notices to webhooks: delivered or given_up.", "outcome")

# --- processes
CHILD_UP = _gauge("child_up", "1 while the child is ready.", "child", "role")
CHILD_STATE = _gauge("child_state", "1 for the state that the child is in.", "child", "state")
CHILD_STARTS = _counter("child_starts", "Processes started.", "child")
CHILD_RESTARTS = _counter("child_restarts", "Processes started after the first.", "child")
CHILD_EXITS = _counter("child_exits", "Ends of processes that nobody asked for.", "child", "end")
CHILD_MEMORY = _gauge("child_resident_memory_bytes", "Resident memory.", "child")
CHILD_CPU = _gauge("child_cpu_cores", "Cores used, over the last seconds.", "child")
CPU = _counter("process_cpu_seconds", "CPU time, of all processes that ever ran.", "mode")
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory of the root.")
LOOP_BUSY = _gauge("loop_busy_ratio", "Share of one core that the event loop used.", by_child=True)
LOOP_LAG = _gauge("loop_lag_seconds", "How late the event loop woke.", by_child=True)
PROGRESS = _counter("progress", "What children count as work done.", "counter", by_child=True)
POOL_SIZE = _gauge("pool_size", "Members that a pool is to have.", "pool")
POOL_READY = _gauge("pool_ready", "Members that are ready.", "pool")
EVENTS = _counter("supervisor_events", "What happened in the tree.", "event")
UPTIME = _gauge("uptime_seconds", "Time since the root began.")
BUILD = _declare(Metric("build", Kind.INFO, "What runs.", ("version", "python")))

ALL: tuple[Metric, ...] = tuple(_declared)
KNOWN: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in ALL})
