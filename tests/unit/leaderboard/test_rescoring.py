"""What scoring again would change, while the hub goes on."""

from unified_audiocaps.evaluators.metric import METRICS
from unified_audiocaps.leaderboard.rescoring import preview

from .test_hub import GOOD, score_all, write


def test_what_is_published_during_a_preview_is_left_out(hub, tmp_path, monkeypatch):
    def publish(system: str) -> None:
        hub.submit(write(tmp_path / "p.jsonl", GOOD), "tiny", system)
        score_all(hub)

    def roster(benchmark):
        found = read(benchmark)
        publish("late")
        monkeypatch.setattr(METRICS.get("rouge_l"), "version", 99)
        return found

    publish("early")
    read = hub.store.roster
    monkeypatch.setattr(hub.store, "roster", roster)
    assert [(one.system, one.rank, one.new_rank) for one in preview(hub, "tiny")] == [("early", 1, 1)]
