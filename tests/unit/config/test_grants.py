"""What a child is given: its part of the settings, all of that, and nothing else."""

import json

import pytest

from priceverse.config.grants import EVERY, GRANTS, give, take
from priceverse.config.settings import Database, Exchanges, Redis, Settings

SETTINGS = Settings(
    redis=Redis(password="redis-secret"),
    database=Database(password="database-secret"),
)


@pytest.mark.parametrize("role", GRANTS)
def test_what_is_given_is_read_back_and_nothing_else(role):
    settings = take(give(SETTINGS, role), role)
    given = {key.split(".")[0] for key in (*EVERY, *GRANTS[role])}
    assert settings.app.name == SETTINGS.app.name
    for section in Settings.model_fields.keys() - given:
        with pytest.raises(AttributeError, match=f"Settings.{section} is not given to this child"):
            getattr(settings, section)
    for section in given & {"redis", "database", "pairs", "cbr", "api", "retention", "aggregation"}:
        if section in GRANTS[role]:
            assert getattr(settings, section) == getattr(SETTINGS, section)


@pytest.mark.parametrize(
    ("role", "secrets"),
    [
        ("simulator", set()),
        ("collector", {"redis-secret"}),
        ("housekeeper", {"database-secret", "redis-secret"}),
        ("api", {"database-secret", "redis-secret"}),
    ],
)
def test_a_secret_is_known_to_those_who_use_it(role, secrets):
    part = json.dumps(give(SETTINGS, role))
    assert {secret for secret in ("database-secret", "redis-secret") if secret in part} == secrets


def test_a_part_of_a_section_has_no_defaults_for_the_rest():
    settings = take(give(SETTINGS, "api"), "api")
    assert settings.exchanges.enabled == SETTINGS.exchanges.enabled
    with pytest.raises(AttributeError, match=r"Exchanges.kraken is not given to this child: see config/grants.py"):
        settings.exchanges.kraken  # noqa: B018 - reading it is what fails


def test_a_collector_knows_its_own_venue_only():
    part = give(SETTINGS, "collector", "exchanges.kraken")
    settings = take(part, "collector")
    assert settings.exchanges.kraken == SETTINGS.exchanges.kraken
    assert settings.exchanges.mute_timeout_s == SETTINGS.exchanges.mute_timeout_s
    with pytest.raises(AttributeError, match=r"Exchanges.okx"):
        settings.exchanges.okx  # noqa: B018 - as above


def test_of_an_older_root_what_a_section_lacks_is_the_default():
    part = give(SETTINGS, "api")
    del part["api"]["max_batch"], part["health"]
    settings = take(part, "api")
    assert settings.api.max_batch == Settings().api.max_batch
    assert settings.health == Settings().health


def test_taking_a_part_leaves_the_defaults_of_the_program_alone():
    take(give(SETTINGS, "simulator"), "simulator")
    assert Settings().exchanges == Exchanges()
    assert Settings() == Settings.model_validate(Settings().for_child())


def test_a_name_that_is_no_key_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        SETTINGS.sing  # noqa: B018 - as above
