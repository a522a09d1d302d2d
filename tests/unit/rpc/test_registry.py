"""What is declared: no method twice, every one described with its schemas."""

import pytest

from priceverse import services
from priceverse.rpc.discover import describe
from priceverse.rpc.method import Params, method
from priceverse.rpc.registry import Registry


def test_a_method_is_declared_once(registry):
    one = next(iter(registry))
    with pytest.raises(AssertionError, match="twice"):
        Registry([one, one])


def test_a_method_without_a_summary_is_not_declared():
    async def silent(params: Params, ports: object) -> None: ...

    with pytest.raises(AssertionError, match="fully declared"):
        method("Echo@1.0.0", "silent")(silent)


def test_every_service_is_described():
    described = {(each["name"], each["version"]): each["methods"] for each in describe(services.registry())}
    assert {key: {each["name"] for each in methods} for key, methods in described.items()} == {
        ("PricesService", "2.0.0"): {
            *("getPrice", "getMultiplePrices", "getPriceChange", "explainPrice", "streamPrices"),
            *("version", "supportedPairs"),
        },
        ("ChartsService", "2.0.0"): {"getChartData", "getOHLCV"},
        ("HealthService", "1.0.0"): {"check", "live", "ready"},
    }
    get_price = described["PricesService", "2.0.0"][0]
    assert get_price["cache"] == {"maxAge": 5000}
    assert get_price["limit"] == {"requests": 100, "windowMs": 60_000}
    assert get_price["description"] == "Return the current price of one pair."
    assert get_price["input"]["$defs"]["GetPrice"]["required"] == ["pair"]
    assert get_price["output"]["$defs"]["PriceReply"]["properties"]["price"] == {"type": "number"}
