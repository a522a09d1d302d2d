"""A test notice to every webhook: what `priceverse alerts test` does."""

from collections.abc import Sequence

from priceverse.alerts.serve import webhooks
from priceverse.alerts.watch import Notice, State
from priceverse.alerts.webhook import Post, Sender, post
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.net.errors import NetError, origin


async def deliver(settings: Settings, via: Post = post) -> Sequence[tuple[str, NetError | None]]:
    """Deliver the notice once to each; return each receiver's host and what went wrong there."""
    secret = settings.alerts.webhook_secret
    notice = Notice("test", "priceverse", State.FIRING, "info", "A person tries the webhooks.", now_ms())
    body = Sender(settings.app.name, secret.get_secret_value() if secret else None).body(notice)
    results: list[tuple[str, NetError | None]] = []
    for url, hook in zip(settings.alerts.webhooks, webhooks(settings, via), strict=True):
        try:
            await hook.deliver(body)
        except NetError as fault:
            results.append((origin(url), fault))
        else:
            results.append((origin(url), None))
    return results
