"""What `--help` shows of each command: lines to type as they stand. The tests type all of them."""

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "up": (
            "priceverse up",
            "priceverse up --live --port 8080",
            "priceverse up --detach --state prices",
            "priceverse up --stop --state prices",
        ),
        "run": ("priceverse run --config /etc/priceverse/priceverse.toml",),
        "ctl": (
            "priceverse ctl status",
            "priceverse ctl restart collector.kraken",
            "priceverse ctl events -f",
            "priceverse ctl top",
        ),
        "prices": (
            "priceverse prices",
            "priceverse prices btc-usd eth-usd --watch",
            "priceverse prices --json --url https://prices.example.org",
        ),
        "candles": (
            "priceverse candles btc-usd --chart",
            "priceverse candles btc-rub --interval 1day --limit 30",
            "priceverse candles eth-usd -i 5min -n 288 --csv > eth.csv",
        ),
        "explain": (
            "priceverse explain btc-usd",
            "priceverse explain btc-rub --at 2026-11-22T12:00:00Z",
        ),
        "health": (
            "priceverse health",
            "priceverse health --json | jq .checks",
        ),
        "export": (
            "priceverse export btc-usd --from 2026-01-01 --to 2026-02-01 > january.csv",
            "priceverse export eth-rub --from 2026-11-20 -i 5min --format jsonl -o eth-rub.jsonl",
            "priceverse export btc-usd --from 2026-11-01 -i 1day --format parquet -o btc-usd.parquet",
        ),
        "bench": ("priceverse bench --seconds 3 --url https://prices.example.org",),
        "config": (
            "priceverse config check",
            "priceverse config show",
            "priceverse config example > priceverse.toml",
        ),
        "alerts": ("priceverse alerts test",),
        "migrate": (
            "priceverse migrate --dry-run",
            "priceverse migrate",
            "priceverse migrate --status",
        ),
        "backfill": ("priceverse backfill --pair btc-usd --from 2026-11-20 --to 2026-11-21",),
        "keys": (
            "priceverse keys --file keys.json add dashboards --role metrics --limit getPrice=6000",
            "priceverse keys --file keys.json list",
        ),
        "replay": ("priceverse replay --trades trades.jsonl --pair btc-usd",),
        "simulate": ("priceverse simulate --port 8700 --truth trades.jsonl",),
        "decode": ("priceverse decode kraken < frames.jsonl > trades.jsonl",),
        "capture": ("priceverse capture kraken --seconds 5 --output frames.jsonl",),
        "rate": ("curl -s https://www.cbr.ru/scripts/XML_daily.asp | priceverse rate",),
        "version": ("priceverse version --json",),
        "completion": (
            "priceverse completion bash > /etc/bash_completion.d/priceverse",
            'priceverse completion zsh > "${fpath[1]}/_priceverse"',
            "priceverse completion fish > ~/.config/fish/completions/priceverse.fish",
        ),
    }
)
