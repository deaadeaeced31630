import pytest
from fastapi.testclient import TestClient
from unified_audiocaps.leaderboard.benchmark import benchmark_by_id
from unified_audiocaps.leaderboard.hub import Hub
from unified_audiocaps.leaderboard.store import ResultRow, ResultStore
from unified_audiocaps.space.app import create_app


@pytest.fixture
def hub(tmp_path):
    return Hub(ResultStore(f"sqlite:///{tmp_path}/hub.db"), tmp_path / "unified-audiocaps")


@pytest.fixture
def client(hub):
    return TestClient(create_app(hub))


def test_health_tells_what_waits(hub, client):
    hub.store.add(benchmark_by_id("sample"), "A", b"x", ".csv", 12)
    assert client.get("/api/v1/healthz").json() == {"status": "ok", "unfinished_submissions": 1}


def test_leaderboard_holds_ranked_rows_with_signatures(hub, client):
    for name, value in (("A", 0.25), ("B", 0.5)):
        hub.store.add(benchmark_by_id("sample"), name, name.encode(), ".csv", 12)
        row = ResultRow("date", "date", value, 12, "metric:date", "0123abcd", 0.1, "0" * 64)
        assert hub.store.finish(hub.store.claim("w", 20), [row])
    answer = client.get("/api/v1/leaderboard/sample").json()
    assert [(row["rank"], row["system"], row["values"]) for row in answer["rows"]] == [
        (1, "B", {"date": 0.5}),
        (2, "A", {"date": 0.25}),
    ]
    assert answer["columns"] == [{"name": "date", "metric": "date", "digest": "0123abcd", "signature": "metric:date"}]


def test_submission_tells_its_history(hub, client):
    submission, _ = hub.store.add(benchmark_by_id("sample"), "A", b"x", ".csv", 12)
    answer = client.get(f"/api/v1/submissions/{submission.id}").json()
    assert (answer["state"], [event["kind"] for event in answer["events"]]) == ("queued", ["queued"])


@pytest.mark.parametrize("path", ["leaderboard/nope", "submissions/nope"])
def test_unknown_names_are_404_with_the_reason(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert "'nope'" in answer.json()["error"]


def test_benchmarks_are_listed_with_their_digests(client):
    found = {benchmark["id"]: benchmark for benchmark in client.get("/api/v1/benchmarks").json()}
    assert found["audiocaps-test"]["n_items"] == 975
    assert all(len(benchmark["digest"]) == 8 for benchmark in found.values())
