"""The processes as the page sees them."""

import json

from priceverse.config.settings import Settings, Supervisor
from priceverse.metrics import pages
from priceverse.metrics.instance import Instance


async def test_without_a_root_it_is_said_so(application, tmp_path):
    settings = Settings(supervisor=Supervisor(control_socket=tmp_path / "control.sock"))
    reply = await application(settings).test_client().get("/health/tree")
    assert (reply.status_code, json.loads(await reply.get_data())["error"]["code"]) == (503, "SYSTEM_5004")


def test_what_only_the_operator_should_know_is_left_out():
    instance = Instance("2.0.0")
    child = {"name": "api.0", "role": "api", "state": "ready", "restarts": 1, "uptime_s": 2.5, "pid": 7, "reason": "x"}
    instance.of_tree(lambda: {"children": [child]})
    [shown] = json.loads(pages.private(instance)["/tree"]("").body)
    assert shown == {"name": "api.0", "role": "api", "state": "ready", "restarts": 1, "uptime_s": 2.5}
    assert "/tree" not in pages.public(instance)
