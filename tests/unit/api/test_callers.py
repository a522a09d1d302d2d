"""Behind which address a client is charged, whatever it claims."""

import pytest

from priceverse.api.callers import Callers

DIRECT = Callers([])
PROXIED = Callers(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("callers", "peer", "forwarded", "client"),
    [
        (DIRECT, "203.0.113.7", "", "203.0.113.7"),
        (DIRECT, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (DIRECT, "::ffff:203.0.113.7", "", "203.0.113.7"),
        (DIRECT, "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        (DIRECT, "", "", "local"),
        (DIRECT, "", "198.51.100.1", "local"),
        (PROXIED, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (PROXIED, "10.0.0.1", "", "10.0.0.1"),
        (PROXIED, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIED, "", "198.51.100.1", "198.51.100.1"),
        (PROXIED, "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIED, "fd00::1", "2001:db8::1", "2001:db8::/64"),
        (PROXIED, "10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (PROXIED, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (PROXIED, "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (PROXIED, "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        (PROXIED, "10.0.0.1", "198.51.100.1,", "10.0.0.1"),
        (PROXIED, "10.0.0.1", "198.51.100.1:4711", "10.0.0.1"),
        (PROXIED, "10.0.0.1", ", ".join(["10.0.0.9"] * 1000), "10.0.0.9"),
    ],
)
def test_the_client_of_a_request(callers, peer, forwarded, client):
    assert callers.client(peer, forwarded) == client
