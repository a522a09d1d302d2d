"""Every configuration key: name, type, default, bounds and meaning. The only place where a default stands.

The root validates the tree once (`load`) and hands each child its part of it as JSON (`grants`).
Durations keep the seed's milliseconds where the seed named the key; new keys carry their unit in their name.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    IPvAnyNetwork,
    model_validator,
)

from priceverse.config.defaults import DEFAULT_PAIRS
from priceverse.config.section import PairName, Place, Port, Secret, Section
from priceverse.model.exchange import Exchange, Quote
from priceverse.model.price import Method


class App(Section):
    name: str = Field("priceverse", pattern=r"^[a-z0-9-]{1,32}$", description="Instance name, in logs and Redis keys.")
    environment: Literal["development", "staging", "production"] = Field(
        "production", description="Also loads etc/<environment>.toml beside the main file."
    )
    host: str = Field("0.0.0.0", description="Address the API listens on.")  # noqa: S104 - the seed's default
    port: Port = Field(3000, description="Port the API listens on; 0 takes a free one.")


class Pool(Section):
    min: int = Field(1, ge=0, le=64, description="Connections kept open per process.")
    max: int = Field(4, ge=1, le=64, description="Most connections per process.")


class Database(Section):
    host: str = Field("localhost", description="Host name, or the directory of a unix socket.")
    port: Port = Field(5432, description="Port (names the socket file too).")
    database: str = Field("priceverse", description="Database name.")
    user: str = Field("priceverse", description="Role.")
    password: Secret | None = Field(None, description="Password; better a credential or `password_file`.")
    password_file: Path | None = Field(None, description="File that holds the password.")
    ssl: bool = Field(False, description="Require TLS and verify the server's certificate and name.")
    ssl_root_cert: Path | None = Field(None, description="CA file for `ssl`; default: the system's.")
    pool: Pool = Field(Pool(), description="Connection pool of each process.")
    connect_timeout_s: int = Field(5, ge=1, le=60, description="Bound on connecting, seconds.")
    statement_timeout_ms: int = Field(5000, ge=100, le=600_000, description="Bound on every statement.")
    read_hosts: tuple[str, ...] = Field((), description="Replicas that the API reads: host or host:port, any order.")
    read_user: str | None = Field(None, description="Role of the API, that only reads; default: `user`.")
    read_password: Secret | None = Field(None, description="Its password; default: `password`.")
    read_password_file: Path | None = Field(None, description="File that holds `read_password`.")
    read_statement_timeout_ms: int = Field(3000, ge=100, le=600_000, description="Bound on the API's statements.")
    max_replica_lag_s: float = Field(10.0, gt=0, le=3600, description="A replica further behind is not read.")
    migrate_on_start: bool = Field(False, description="Migrate at start instead of refusing an old schema.")


class Redis(Section):
    mode: Literal["standalone", "sentinel", "cluster"] = Field(
        "standalone", description="`standalone`, `cluster`, or `sentinel`, which `sentinels` say as well."
    )
    host: str = Field("localhost", description="Host name; of a cluster, one node's.")
    port: Port = Field(6379, description="Port.")
    unix_socket: Path | None = Field(None, description="Unix socket, used instead of host and port.")
    sentinels: tuple[Place, ...] = Field((), description="`host:port` of Sentinels: they say where the primary is now.")
    sentinel_name: str = Field("mymaster", description="What the Sentinels call the primary.")
    sentinel_username: str | None = Field(None, description="ACL user of the Sentinels themselves.")
    sentinel_password: Secret | None = Field(None, description="Password of the Sentinels themselves, if they ask one.")
    sentinel_password_file: Path | None = Field(None, description="File that holds `sentinel_password`.")
    cluster_nodes: tuple[Place, ...] = Field(
        (), description="`host:port` of cluster nodes that tell the others, used instead of host and port."
    )
    username: str | None = Field(None, description="ACL user.")
    password: Secret | None = Field(None, description="Password; better a credential or `password_file`.")
    password_file: Path | None = Field(None, description="File that holds the password.")
    db: int = Field(0, ge=0, le=15, description="Database number.")
    tls: bool = Field(False, description="Use TLS and verify the server's certificate and name.")
    tls_ca: Path | None = Field(None, description="CA file for `tls`; default: the system's.")
    timeout_s: float = Field(5.0, gt=0, le=60, description="Bound on every command, seconds.")
    stream_max_entries: int = Field(
        1_000_000, ge=1000, le=100_000_000, description="A longer stream of trades is cut, read or not (an alarm)."
    )

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        if self.mode == "sentinel" and not self.sentinels:
            raise ValueError("mode is 'sentinel', but no `sentinels` are named")
        if self.mode == "cluster" and (self.sentinels or self.unix_socket or self.db):
            raise ValueError("mode is 'cluster', which has no `sentinels`, no `unix_socket` and no `db`")
        if self.mode != "cluster" and self.cluster_nodes:
            raise ValueError(f"mode is {self.mode!r}, but `cluster_nodes` are named")
        return self


class Venue(Section):
    ws_url: str = Field("", description="WebSocket endpoint (KuCoin: unused, its REST reply names one).")
    rest_url: str = Field("", description="REST base.")
    quote: Quote = Field(Quote.USD, description="Currency in which this venue quotes our USD pairs.")


class Exchanges(Section):
    enabled: tuple[Exchange, ...] = Field(tuple(Exchange), min_length=1, description="Venues to listen to.")
    max_reconnect_attempts: int = Field(10, ge=1, le=1000, description="Failures in a row before the collector exits.")
    reconnect_base_delay: int = Field(1000, ge=10, le=60_000, description="First reconnect delay, ms; doubles to 30 s.")
    connect_timeout_s: float = Field(10.0, gt=0, le=60, description="Bound on a WebSocket handshake, seconds.")
    mute_timeout_s: float = Field(30.0, gt=1, le=600, description="Reconnect after so long without any frame.")
    max_frame_bytes: int = Field(1 << 20, ge=1 << 12, le=1 << 24, description="A larger frame ends the connection.")
    tls_ca: Path | None = Field(None, description="CA file for wss and https; default: the system's.")
    binance: Venue = Venue(ws_url="wss://stream.binance.com:9443", rest_url="https://api.binance.com", quote=Quote.USDT)
    kraken: Venue = Venue(ws_url="wss://ws.kraken.com/v2", rest_url="https://api.kraken.com", quote=Quote.USD)
    coinbase: Venue = Venue(
        ws_url="wss://ws-feed.exchange.coinbase.com", rest_url="https://api.exchange.coinbase.com", quote=Quote.USD
    )
    okx: Venue = Venue(ws_url="wss://ws.okx.com:8443/ws/v5/public", rest_url="https://www.okx.com", quote=Quote.USDT)
    bybit: Venue = Venue(
        ws_url="wss://stream.bybit.com/v5/public/spot", rest_url="https://api.bybit.com", quote=Quote.USDT
    )
    kucoin: Venue = Venue(ws_url="", rest_url="https://api.kucoin.com", quote=Quote.USDT)

    def venue(self, exchange: Exchange) -> Venue:
        """Return the table of one venue."""
        venue: Venue = getattr(self, exchange.value)
        return venue


class Cbr(Section):
    url: str = Field("https://www.cbr.ru/scripts/XML_daily.asp", description="Bank of Russia daily rates.")
    interval_s: float = Field(3600.0, ge=1, le=86_400, description="Time between fetches.")
    timeout_s: float = Field(10.0, gt=0, le=60, description="Bound on one fetch.")
    tls_ca: Path | None = Field(None, description="CA file for https; default: the system's.")
    max_bytes: int = Field(1 << 20, ge=1 << 10, le=1 << 24, description="Larger documents are refused.")
    max_jump: Decimal = Field(
        Decimal("0.2"),
        gt=0,
        le=10,
        description="A larger step from the last good rate is held; raise it and reload to let a real one in.",
    )
    max_age_days: int = Field(4, ge=1, le=60, description="An older rate makes RUB prices stale.")


class Symbol(Section):
    symbol: str = Field(min_length=1, max_length=64, description="The venue's own name.")
    quote: Quote | None = Field(None, description="Quote currency, where it differs from the venue's.")


class Pair(Section):
    enabled: bool = Field(True, description="Collect or derive this pair.")
    listed: bool = Field(True, description="Offer it to API clients.")
    symbols: dict[Exchange, Symbol] = Field(default_factory=dict, description="Venue → symbol, for a collected pair.")
    derived_from: PairName | None = Field(None, description="Source pair of a pair computed through the RUB rate.")
    method: Method | None = Field(None, description="Overrides aggregation.method.")
    min_sources: int | None = Field(None, ge=1, le=6, description="Overrides aggregation.min_sources.")
    max_deviation: Decimal | None = Field(None, gt=0, le=1, description="Overrides aggregation.max_deviation.")

    @model_validator(mode="before")
    @classmethod
    def _short_symbols(cls, data: object) -> object:
        """Accept `binance = "BTCUSDT"` for `binance = { symbol = "BTCUSDT" }`."""
        if isinstance(data, dict) and isinstance(data.get("symbols"), dict):
            symbols = {k: {"symbol": v} if isinstance(v, str) else v for k, v in data["symbols"].items()}
            return data | {"symbols": symbols}
        return data

    @model_validator(mode="after")
    def _collected_or_derived(self) -> Self:
        if self.enabled and bool(self.symbols) == (self.derived_from is not None):
            raise ValueError("needs either `symbols` (collected) or `derived_from` (computed)")
        return self


class Aggregation(Section):
    interval: int = Field(10_000, ge=1000, le=3_600_000, description="Grid of price_history rows, ms.")
    window_size: int = Field(30_000, ge=1000, le=3_600_000, description="Length of the price window, ms.")
    lateness_ms: int = Field(5000, ge=0, le=60_000, description="How long a history row waits for late trades.")
    lease_ms: int = Field(10_000, ge=1000, le=60_000, description="An owner not heard of for so long loses its pairs.")
    candle_lateness_ms: int = Field(3_600_000, ge=0, le=86_400_000, description="An older trade enters no candle, ms.")
    publish_interval_ms: int = Field(250, ge=20, le=10_000, description="Shortest time between new prices of a pair.")
    heartbeat_ms: int = Field(1000, ge=100, le=30_000, description="A quiet pair's last price is published so often.")
    method: Method = Field(Method.VWAP, description="How venue prices become one.")
    min_sources: int = Field(1, ge=1, le=6, description="Fewer admitted venues give no price.")
    max_deviation: Decimal = Field(Decimal("0.05"), gt=0, le=1, description="A venue further from the median is out.")
    max_weight: Decimal = Field(Decimal(1), gt=0, le=1, description="Largest share of one venue; 1 is no cap.")
    max_source_age_ms: int = Field(30_000, ge=1000, le=3_600_000, description="A venue without newer trades is stale.")
    stream_keep_s: int = Field(
        4500, ge=60, le=90_000, description="Trades are kept in Redis so long; a repeated one is known so long."
    )


class RateLimit(Section):
    enabled: bool = Field(True, description="Charge clients for calls; off: nobody is refused.")
    methods: dict[str, Annotated[int, Field(ge=1, le=10_000_000)]] = Field(
        default_factory=dict, description="Method → calls in 60 s of one client, where not the method's own."
    )
    streams: int = Field(20, ge=1, le=100_000, description="Streams that one client may have.")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (), description="Networks whose X-Forwarded-For is believed, read from right to left."
    )


class Auth(Section):
    file: Path | None = Field(None, description="API keys and users, written by `priceverse keys`; none: no login.")
    token_ttl_s: int = Field(900, ge=10, le=86_400, description="A token of /netron/authenticate is good so long.")


class Api(Section):
    max_price_age_ms: int = Field(120_000, ge=1000, le=3_600_000, description="An older price is not served.")
    max_body_bytes: int = Field(65_536, ge=1024, le=1 << 20, description="A larger request body is refused with 413.")
    max_batch: int = Field(50, ge=1, le=1000, description="Most calls in one batch.")
    timeout_s: float = Field(30.0, gt=0, le=300, description="Longest time a call may take.")
    openapi_public: bool = Field(False, description="Show /openapi.json to everybody, not to bearers only.")
    cors_origins: tuple[str, ...] = Field(("*",), description="Origins whose pages may read answers; `*` is all.")
    gzip_min_bytes: int = Field(1024, ge=0, le=1 << 20, description="Larger texts are compressed; 0: none is.")
    rate_limit: RateLimit = RateLimit()
    fast_lane: bool = Field(
        True, description="Answer calls below Quart; off: the same answers at a twentieth the rate."
    )
    max_connections: int = Field(2000, ge=1, le=100_000, description="Clients of one handler; one more is told so.")
    idle_timeout_s: float = Field(
        75.0, gt=0, le=3600, description="A client that says nothing is let go; proxies: 60 s."
    )
    head_timeout_s: float = Field(10.0, gt=0, le=300, description="Time for a request's head, and for a first word.")
    send_timeout_s: float = Field(5.0, gt=0, le=300, description="A client that does not read is let go.")
    access_log_every: int = Field(1000, ge=0, description="One of so many good requests is logged; 0: none.")


class PoolSize(Section):
    size: int | Literal["auto"] = Field("auto", description="Members at start; `auto` is the CPU count.")
    min: int = Field(2, ge=1, le=64, description="Fewest members.")
    max: int = Field(8, ge=1, le=64, description="Most members.")
    cooldown_s: float = Field(60.0, ge=0, le=86_400, description="Shortest time between two scalings, seconds.")
    strategy: Literal["round_robin", "least_loaded", "consistent_hash", "latency", "adaptive"] = Field(
        "consistent_hash", description="How pairs, and calls of ctl, find a member."
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min > self.max or (isinstance(self.size, int) and not self.min <= self.size <= self.max):
            raise ValueError(f"needs min <= size <= max, got min={self.min} size={self.size} max={self.max}")
        return self


class Supervisor(Section):
    control_socket: Path = Field(Path("/run/priceverse/control.sock"), description="Unix socket of `priceverse ctl`.")
    aggregators: PoolSize = Field(PoolSize(), description="Aggregator pool.")
    handlers: PoolSize = Field(PoolSize(max=16, strategy="adaptive"), description="API handler pool.")
    warm_start: bool = Field(True, description="Fork children from one process that has imported what they need.")
    ready_timeout_s: float = Field(30.0, gt=0, le=600, description="A child not ready by then is restarted.")
    stop_timeout_s: float = Field(10.0, gt=0, le=600, description="A child not gone by then is killed.")
    memory_soft_mib: int = Field(0, ge=0, le=1 << 20, description="A child over it is recycled in order; 0: no limit.")
    memory_hard_mib: int = Field(0, ge=0, le=1 << 20, description="A child over it is killed; 0: no limit.")

    @model_validator(mode="after")
    def _soft_below_hard(self) -> Self:
        if 0 < self.memory_hard_mib < self.memory_soft_mib:
            raise ValueError(f"memory_soft_mib is {self.memory_soft_mib}, above memory_hard_mib {self.memory_hard_mib}")
        return self


class Retention(Section):
    raw_days: int = Field(7, ge=1, le=3650, description="price_history is kept so long.")
    candle_5min_days: int = Field(30, ge=2, le=3650, description="Candles of 5 minutes, by whole months.")
    candle_1hour_days: int = Field(365, ge=2, le=36_500, description="Candles of 1 hour, by whole months.")
    partitions_ahead_days: int = Field(3, ge=1, le=60, description="Daily partitions made ahead.")


class Backfill(Section):
    enabled: bool = Field(True, description="Fetch missing candles from the exchanges, at start and hourly.")
    days: int = Field(7, ge=1, le=365, description="Missing candles are looked for so far back.")


class Alerts(Section):
    enabled: bool = Field(True, description="Watch the instance; what is wrong is logged and told to the webhooks.")
    webhooks: tuple[str, ...] = Field((), description="URLs that alerts are sent to, as JSON.")
    webhook_secret: Secret | None = Field(None, description="Signs what is sent: HMAC-SHA256.")
    interval_s: float = Field(10.0, ge=1, le=3600, description="Time between looks.")
    repeat_s: float = Field(14_400.0, ge=60, le=604_800, description="An alert that lasts is told again so often.")
    exchange_down_s: float = Field(300.0, ge=1, le=86_400, description="A venue may be disconnected so long.")
    min_sources: int = Field(2, ge=1, le=6, description="Venues that a price should be made of, if so many trade it.")
    max_deviation: Decimal = Field(Decimal("0.02"), gt=0, le=1, description="A venue may be so far from the price.")
    history_hole_s: float = Field(120.0, ge=10, le=86_400, description="History may lag behind the live price so long.")
    disk_paths: tuple[Path, ...] = Field((Path("/"),), description="File systems that are watched.")
    disk_ratio: float = Field(0.9, gt=0, le=1, description="A file system may be so full.")
    redis_memory_ratio: float = Field(0.8, gt=0, le=1, description="Redis may use so much of its memory.")


class Logging(Section):
    level: Literal["trace", "debug", "info", "warn", "error", "fatal"] = Field(
        "info", description="Least level logged."
    )
    pretty: bool = Field(False, description="Text for people instead of JSON.")


class Metrics(Section):
    listen: str = Field(
        "127.0.0.1:9464",
        pattern=r"^(|[^\s:]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5})$",
        description="Address where the root serves /metrics without login; port 0 takes a free one, empty: nowhere.",
    )

    @model_validator(mode="after")
    def _possible_port(self) -> Self:
        if self.address and self.address[1] > 65535:
            raise ValueError(f"listen is {self.listen!r}, a port is at most 65535")
        return self

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of `listen`; None if it is empty."""
        host, _, port = self.listen.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None


class Health(Section):
    enabled: bool = Field(True, description="Serve the health endpoints.")
    path: str = Field("/health", pattern="^/", description="Path of the full health report.")
    timeout: int = Field(5000, ge=100, le=60_000, description="Bound on one check, ms.")


class Simulator(Section):
    """Present only when this instance plays the exchanges itself (`priceverse up`)."""

    listen_port: Port = Field(0, description="Loopback port of the simulator; 0: not used.")
    replay: Path | None = Field(None, description="Folder of captured frames to replay instead of a random walk.")
    speed: float = Field(1.0, gt=0, le=1000, description="Pace of the replay or the walk.")
    seed: int = Field(0, description="Seed of the random walk.")
    truth: Path | None = Field(None, description="File that receives every trade sent.")


def _default_pairs() -> dict[str, Pair]:
    return {name: Pair.model_validate(pair) for name, pair in DEFAULT_PAIRS.items()}


class Settings(Section):
    """The whole tree."""

    app: App = App()
    database: Database = Database()
    redis: Redis = Redis()
    exchanges: Exchanges = Exchanges()
    cbr: Cbr = Cbr()
    pairs: dict[PairName, Pair] = Field(default_factory=_default_pairs)
    aggregation: Aggregation = Aggregation()
    api: Api = Api()
    auth: Auth = Auth()
    supervisor: Supervisor = Supervisor()
    retention: Retention = Retention()
    backfill: Backfill = Backfill()
    alerts: Alerts = Alerts()
    logging: Logging = Logging()
    metrics: Metrics = Metrics()
    health: Health = Health()
    simulator: Simulator = Simulator()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, pair in self.pairs.items():
            source = pair.derived_from
            if pair.enabled and source is not None and source not in self.source_pairs:
                raise ValueError(f"pairs.{name}.derived_from is {source!r}, which is not an enabled collected pair")
        if self.aggregation.window_size % 1000 or self.aggregation.interval % 1000:
            raise ValueError("aggregation.window_size and aggregation.interval must be whole seconds")
        return self

    @property
    def metrics_socket(self) -> Path:
        """Where the root serves its metrics to its own processes."""
        return self.supervisor.control_socket.with_name("metrics.sock")

    @property
    def source_pairs(self) -> tuple[str, ...]:
        """Pairs made from trades, the USDT reference among them, in the order of the configuration."""
        return tuple(name for name, pair in self.pairs.items() if pair.enabled and pair.symbols)

    @property
    def listed_pairs(self) -> tuple[str, ...]:
        """Pairs that API clients may ask for."""
        return tuple(name for name, pair in self.pairs.items() if pair.enabled and pair.listed)

    def derived_pairs(self, source: str) -> tuple[str, ...]:
        """Return the enabled pairs computed from `source`."""
        return tuple(name for name, pair in self.pairs.items() if pair.enabled and pair.derived_from == source)

    def symbols(self, exchange: Exchange) -> dict[str, str]:
        """Return the venue's symbol → pair, for every enabled pair that it trades."""
        return {
            pair.symbols[exchange].symbol: name
            for name, pair in self.pairs.items()
            if pair.enabled and exchange in pair.symbols
        }

    def quote(self, pair: str, exchange: Exchange) -> Quote:
        """Return the currency in which `exchange` quotes `pair`."""
        symbol = self.pairs[pair].symbols.get(exchange)
        return (symbol.quote if symbol else None) or self.exchanges.venue(exchange).quote

    def for_child(self) -> dict[str, object]:
        """Return the tree as JSON values with the secrets in clear: only ever for a pipe to a child."""
        return self.model_dump(mode="json", context={"secrets": True})
