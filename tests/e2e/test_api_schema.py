"""Requests made from the OpenAPI schema, good ones and broken ones: the answers are what the schema says, and never a 5xx."""

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis import GenerationMode, checks
from unified_audiocaps.space.api import add_routes

from ..unit.space.served import make_hub, publish, send

EXAMPLES = 15
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
]
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> FastAPI:
    """The routes over a hub that knows something; names that exist stand in the schema as examples would."""
    hub = make_hub(tmp_path_factory.mktemp("schema"), hosts="testserver")
    ids = [publish(hub, f"S{number}", number / 10, ("open", "closed")[number % 2]) for number in range(3)]
    made = FastAPI(title="unified-audiocaps", openapi_url="/api/openapi.json")
    add_routes(made, hub)
    ids.append(send(TestClient(made, base_url="http://localhost"), b"{").json()["submission"]["id"])
    made.state.known = {"benchmark_id": ["open", "closed"], "submission_id": ids, "name": ["S0"]}
    return made


def ask(operation, mode: GenerationMode, known: dict[str, str]) -> tuple[set[int], list[str]]:
    """Returns the statuses that made-up requests got, and what does not conform."""
    statuses, wrong = set[int](), []

    @SETTINGS
    @hypothesis.given(case=operation.as_strategy(mode, path_parameters=known or None))
    def answers(case):
        if operation.path == "/api/v1/events":
            case.query = {key: value for key, value in (case.query or {}).items() if key != "stream"}  # it would never end
        try:
            statuses.add(case.call_and_validate(checks=CHECKS).status_code)
        except AssertionError as error:
            wrong.append(str(error))
            raise

    try:
        answers()
    except hypothesis.errors.Unsatisfiable:
        pass  # a route without parameters cannot be asked wrongly
    except BaseExceptionGroup as group:
        wrong.extend(str(error) for error in group.exceptions)
    except AssertionError as error:
        wrong.append(str(error))
    return statuses, wrong[:3]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_answers_are_what_the_schema_says(app, mode):
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    asked, wrong = dict[str, set[int]](), list[str]()
    for found in schema.get_all_operations():
        operation = found.ok()
        asked[operation.label] = set()
        fitting = [{name: one} for name, values in app.state.known.items() if f"{{{name}" in operation.path for one in values]
        for known in ({}, *fitting):
            statuses, found_wrong = ask(operation, mode, known)
            asked[operation.label] |= statuses
            wrong += found_wrong
    assert not wrong, "\n\n".join(wrong)
    assert len(asked) >= 22
    assert max(max(statuses, default=0) for statuses in asked.values()) < 500
    if mode is GenerationMode.POSITIVE:
        assert all(asked.values()), "nothing was asked of some route"
        assert asked["GET /api/v1/leaderboard/{benchmark_id}"] >= {200, 404}
