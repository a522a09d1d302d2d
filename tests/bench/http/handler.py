"""One real handler on an inherited listening socket, for the benches: `handler.py FD` with its settings on stdin."""

import json
import socket
import sys

import trio

from priceverse import log
from priceverse.api.serve import serve
from priceverse.config.settings import Settings


async def main():
    settings = Settings.model_validate(json.load(sys.stdin))
    log.configure(level=settings.logging.level, child="api.bench")
    listener = socket.socket(fileno=int(sys.argv[1]))

    async def ready():
        print("ready", flush=True)

    await serve(settings, listener, trio.Event(), ready=ready, provide=lambda _: None)


trio.run(main)
