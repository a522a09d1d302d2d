"""What tells of the service: for whom it is, and whether the OpenAPI document is one."""

import json

import pytest
from openapi_spec_validator import validate

from priceverse import services
from priceverse.api.auth import Role
from priceverse.api.openapi import document
from priceverse.config.settings import Api, Settings
from priceverse.config.settings import Supervisor as SupervisorSettings

KEY = {"Authorization": "Bearer good"}


def knows(authorization, role):
    return authorization == "Bearer good"


@pytest.fixture
def openapi():
    return json.loads(json.dumps(document(services.registry(), Settings())))


def test_the_document_is_valid_openapi(openapi):
    validate(openapi)


def test_every_method_that_answers_calls_is_in_it_and_no_number_is_a_text(openapi):
    calls = openapi["components"]["schemas"]
    for method in services.registry():
        if method.events is None:
            assert calls[f"Call_{method.service}_{method.name}"]["properties"]["method"] == {"const": method.name}
    assert calls["PriceReply"]["properties"]["price"] == {"type": "number"}
    assert "decimal" not in json.dumps(openapi)


def test_every_reference_leads_somewhere(openapi):
    schemas = openapi["components"]["schemas"]
    for found in json.dumps(openapi).split('"$ref": "#/components/schemas/')[1:]:
        assert found.partition('"')[0] in schemas


async def test_every_path_of_the_document_is_served(application, openapi):
    client = application(permits=knows).test_client()
    for path, operations in openapi["paths"].items():
        for method in operations:
            if path not in {"/stream/prices", "/netron/authenticate"}:  # never ends; is the gate's
                reply = await client.open(path.replace("{pair}", "btc-usd"), method=method.upper(), headers=KEY)
                assert reply.status_code != 405
                body = await reply.get_data()
                assert reply.status_code != 404 or b"CHART_2001" in body, path


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
async def test_without_credentials_it_is_not_shown(client, path):
    for headers in ({}, {"Authorization": "Bearer bad"}):
        reply = await client.get(path, headers=headers)
        assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert json.loads(await reply.get_data())["error"]["code"] == "401"


@pytest.mark.parametrize(("path", "role"), [("/openapi.json", Role.DOCS), ("/metrics", Role.METRICS)])
async def test_each_has_its_role(application, path, role):
    asked = []
    client = application(permits=lambda _, wanted: bool(asked.append(wanted))).test_client()
    await client.get(path)
    assert asked == [role]


async def test_the_document_can_be_for_everybody(application):
    reply = await application(Settings(api=Api(openapi_public=True))).test_client().get("/openapi.json")
    assert json.loads(await reply.get_data())["openapi"] == "3.1.0"


async def test_a_root_that_does_not_answer_is_said_to_be_so(application, tmp_path):
    settings = Settings(supervisor=SupervisorSettings(control_socket=tmp_path / "control.sock"))
    reply = await application(settings, permits=knows).test_client().get("/metrics", headers=KEY)
    assert (reply.status_code, json.loads(await reply.get_data())["error"]["code"]) == (503, "SYSTEM_5004")
