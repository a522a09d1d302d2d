"""Settings → tree: who is there, and whom a change of one key concerns."""

import pytest

from priceverse.config.settings import Settings
from priceverse.model.exchange import Exchange
from priceverse.topology import tree
from supervisor.reload import Plan, plan
from supervisor.spec import Strategy

COLLECTORS = {f"collector.{exchange}" for exchange in Exchange}
EVERYBODY = COLLECTORS | {"rates", "housekeeper", "aggregator", "api"}
KRAKEN = {"ws_url": "wss://x", "quote": "usd"}


def changed(**sections: dict[str, object]) -> Settings:
    return Settings.model_validate(sections)


def plan_of(**sections: dict[str, object]) -> Plan:
    return plan(tree(Settings()), tree(changed(**sections)))


def test_every_exchange_has_a_critical_collector_and_both_pools_their_bounds():
    made = tree(Settings())
    children = {child.name: child for child in made.children}
    assert children.keys() == COLLECTORS | {"rates", "housekeeper"}
    assert {name for name, child in children.items() if child.critical} == COLLECTORS
    assert {pool.name: (pool.minimum, pool.maximum) for pool in made.pools} == {"aggregator": (2, 8), "api": (2, 16)}


@pytest.mark.parametrize(
    ("sections", "concerned", "spared"),
    [
        ({"redis": {"timeout_s": 1}}, COLLECTORS | {"rates", "aggregator", "api"}, set()),
        ({"database": {"password": "new"}}, {"rates", "housekeeper", "aggregator", "api"}, set()),
        ({"logging": {"level": "debug"}}, EVERYBODY, set()),
        ({"api": {"max_batch": 7}}, {"api"}, COLLECTORS | {"rates", "aggregator"}),
        ({"aggregation": {"publish_interval_ms": 500}}, {"aggregator"}, COLLECTORS | {"rates", "api"}),
        ({"retention": {"raw_days": 3}}, {"housekeeper"}, COLLECTORS | {"rates", "aggregator", "api"}),
        ({"cbr": {"timeout_s": 5}}, {"rates"}, COLLECTORS | {"aggregator", "api"}),
        ({"exchanges": {"kraken": KRAKEN}}, {"collector.kraken"}, COLLECTORS - {"collector.kraken"} | {"rates", "api"}),
        ({"app": {"environment": "staging"}}, set(), EVERYBODY),
        ({"supervisor": {"stop_timeout_s": 5}}, set(), EVERYBODY),
    ],
)
def test_a_change_concerns_those_who_read_the_key(sections, concerned, spared):
    replaced = set(plan_of(**sections).replaced)
    assert concerned <= replaced
    assert not spared & replaced


def test_limits_of_the_supervisor_change_live():
    handlers = {"max": 4, "strategy": "latency", "cooldown_s": 5}
    made = plan_of(supervisor={"stop_timeout_s": 5, "memory_soft_mib": 300, "handlers": handlers})
    assert made.live.keys() == EVERYBODY
    assert made.live["rates"] == ("stop_timeout_s", "memory_soft_bytes")
    assert made.live["api"] == ("maximum", "strategy", "autoscale", "stop_timeout_s", "memory_soft_bytes")
    assert not made.replaced


def test_every_strategy_of_the_supervisor_can_be_chosen_and_memory_has_no_limit_unless_asked_for():
    for strategy in Strategy:
        chosen = tree(changed(supervisor={"aggregators": {"strategy": strategy.value}}))
        assert {pool.name: pool.strategy for pool in chosen.pools} == {"aggregator": strategy, "api": Strategy.ADAPTIVE}
    limits = {(child.memory_soft_bytes, child.memory_hard_bytes) for child in tree(Settings()).children}
    assert limits == {(None, None)}
    with pytest.raises(ValueError, match="memory_soft_mib is 300, above memory_hard_mib 200"):
        changed(supervisor={"memory_soft_mib": 300, "memory_hard_mib": 200})


@pytest.mark.parametrize(
    ("sections", "refused"),
    [
        ({"app": {"port": 1}}, "listeners"),
        ({"supervisor": {"control_socket": "/x"}}, "control"),
        ({"metrics": {"listen": ""}}, "metrics.listen"),
    ],
)
def test_what_only_the_root_could_change_is_named(sections, refused):
    assert plan_of(**sections).refused == (f"{refused}: needs a restart of the root",)


def test_an_exchange_that_is_no_longer_wanted_goes_alone():
    made = plan_of(exchanges={"enabled": ["kraken", "okx"]})
    assert set(made.removed) == COLLECTORS - {"collector.kraken", "collector.okx"}
    assert "api" in made.replaced
    assert not COLLECTORS & made.replaced.keys()
