"""Sounds and their pictures over HTTP: ranges, tags, forms that browsers play, and what is nobody's to hear."""

import io
import json

import numpy as np
import pytest
import soundfile
from unified_audiocaps.dataset_scripts.build import build
from unified_audiocaps.dataset_scripts.errors import RightsError, UnknownNameError
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.dataset_scripts.sound.samples import read
from unified_audiocaps.leaderboard.hub import LOCAL, Actor, Hub
from unified_audiocaps.leaderboard.storage.store import ResultStore
from unified_audiocaps.space.pages import sounds as module
from unified_audiocaps.space.pages.set_rights import is_private_set
from unified_audiocaps.space.pages.sounds import Sounds

from .conftest import cell, row, tone
from .shown import pages_of

CLIP = "/sounds/sample/sample%2Ftest%2Fwaves"
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    build("sample", out=folder / "data")
    hub = Hub(
        ResultStore(f"sqlite:///{folder}/hub.db"), folder / "data", Settings(home=folder / "home", requests_per_minute=10**6)
    )
    yield hub
    hub.store.close()


@pytest.fixture(scope="module")
def client(hub):
    return pages_of(hub)


@pytest.fixture
def odd(built, tmp_path):
    """Opens the benchmark `odd` over rows, or another one; returns the hub."""

    def make(rows, name="odd", **meaning) -> Hub:
        one = built(rows)
        hub = Hub(ResultStore(f"sqlite:///{tmp_path}/hub.db"), one.data, Settings(home=tmp_path / "home"))
        hub.create_benchmark(name, source="odd/train", metrics=("rouge_l",), primary_metric="rouge_l", **meaning)
        return hub

    return make


# -- files and ranges ------------------------------------------------------------------------------------------------------------


def test_a_clip_is_sent_as_it_is_stored(client):
    answer = client.get(CLIP)
    assert (answer.status_code, answer.headers["content-type"], answer.content[:4]) == (200, "audio/flac", b"fLaC")
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers
    assert read(answer.content).duration_s == 5.0
    head = client.head(CLIP)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))


@pytest.mark.parametrize(
    ("wish", "begin", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=10-99999999", 10, None),
        ("bytes=5-5", 5, 6),
    ],
)
def test_players_get_the_part_that_they_ask_for(client, wish, begin, end):
    whole = client.get(CLIP).content
    answer = client.get(CLIP, headers={"Range": wish})
    assert (answer.status_code, answer.content) == (206, whole[begin:end])
    first = begin % len(whole)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


@pytest.mark.parametrize("wish", ["bytes=99999999-", "bytes=7-3", "bytes=-0"])
def test_parts_that_are_not_there_are_refused(client, wish):
    answer = client.get(CLIP, headers={"Range": wish})
    assert answer.status_code == 416 and answer.headers["content-range"].startswith("bytes */")


@pytest.mark.parametrize("wish", ["bytes=0-3,9-12", "bytes=-", "pages=1-2", "bytes=a-b", f"bytes=0-{'9' * 40}"])
def test_what_is_no_single_range_is_answered_with_the_whole(client, wish):
    answer = client.get(CLIP, headers={"Range": wish})
    assert (answer.status_code, answer.content) == (200, client.get(CLIP).content)


def test_an_unchanged_sound_is_not_sent_again_and_parts_of_another_one_never_mix(client):
    tag = client.get(CLIP).headers["etag"]
    known = client.get(CLIP, headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    assert client.get(CLIP, headers={"Range": "bytes=0-3", "If-Range": tag}).status_code == 206
    assert client.get(CLIP, headers={"Range": "bytes=0-3", "If-Range": '"of something else"'}).status_code == 200


def test_pictures_are_drawn_once_and_known_by_their_tag(client, monkeypatch):
    address = "/pictures/sample/sample%2Ftest%2Frain_thunder.png"
    answer = client.get(address)
    assert (answer.status_code, answer.headers["content-type"], answer.content[:6]) == (200, "image/png", PNG)
    monkeypatch.setattr(module.player, "spectrograms", lambda sides: pytest.fail("drawn again"))
    assert client.get(address).content == answer.content
    assert client.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.get("/pictures/sample/sample%2Ftest%2Fdog_bark.png").headers.get("etag") != answer.headers["etag"]


@pytest.mark.parametrize(
    "address",
    [
        "/sounds/sample/nothing", "/sounds/nothing/x", "/pictures/sample/nothing.png", "/row-sounds/sample/nothing",
        "/row-sounds/nothing/x", f"{CLIP}?side=b", f"{CLIP}?version=99",
        "/pictures/sample/sample%2Ftest%2Fwaves.png?side=difference",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client, address):
    assert client.get(address).status_code == 404


def test_rows_of_built_sets_are_heard_too(client):
    assert client.get("/row-sounds/sample/sample%2Ftest%2Fwaves").content == client.get(CLIP).content
    assert client.get("/row-pictures/sample/sample%2Ftest%2Fwaves.png").content[:6] == PNG


# -- odd rows --------------------------------------------------------------------------------------------------------------------


def test_pairs_have_three_sounds_and_pictures_and_other_forms_become_flac(odd):
    aiff = io.BytesIO()
    soundfile.write(aiff, tone(600, 1.5).samples.T, 16000, format="AIFF")
    pair = row("pair", audio=cell(tone(300, 1.0)), audio_b={"bytes": aiff.getvalue(), "path": "b.aiff"}, operation="add")
    client = pages_of(odd([pair]))
    found = {side: client.get(f"/sounds/odd/odd%2Ftrain%2Fpair?side={side}") for side in ("a", "b", "difference")}
    assert {one.headers["content-type"] for one in found.values()} == {"audio/flac"}
    assert [read(one.content).duration_s for one in found.values()] == [1.0, 1.5, 1.5]
    drawn = {client.get(f"/pictures/odd/odd%2Ftrain%2Fpair.png?side={side}").content for side in found}
    assert len(drawn) == 3 and all(one.startswith(PNG) for one in drawn)


def test_a_sound_that_is_elsewhere_is_told_and_never_fetched(odd, tmp_path):
    rows = [
        row("tube", audio_ref={"kind": "youtube", "key": "abcdefghij1", "start_s": 30.0}),
        row("web", audio_ref={"kind": "url", "url": "https://example.org/x.wav"}),
        row("bad", audio_ref={"kind": "url", "url": "javascript:alert(1)"}),
        row("gone", audio={"bytes": None, "path": f"{tmp_path}/secret-place/x.wav"}),
    ]
    hub = odd(rows)
    find = Sounds(hub)
    tube, web, bad, gone = (
        find.of_benchmark(hub.benchmark("odd"), f"odd/train/{name}", LOCAL) for name in ("tube", "web", "bad", "gone")
    )
    assert tube.links == ("https://www.youtube.com/watch?v=abcdefghij1&t=30s",)
    assert tube.where == ("The sound is not on this hub (upstream: youtube abcdefghij1, from 30 s).",)
    assert web.links == ("https://example.org/x.wav",) and not bad.links and not web.parts
    assert "'x.wav' cannot be read" in gone.parts[0].note and "secret-place" not in gone.parts[0].note
    client = pages_of(hub)
    assert [client.get(f"/sounds/odd/odd%2Ftrain%2F{name}").status_code for name in ("tube", "web", "gone")] == [404] * 3
    assert not find.are_here(hub.benchmark("odd"), LOCAL)


def test_names_that_would_be_markup_are_text(odd):
    bad = """a"><script>alert('1')</script>&?#"""
    hub = odd([row(bad, audio=cell(tone(300, 0.5)))])
    (part,) = Sounds(hub).of_benchmark(hub.benchmark("odd"), f"odd/train/{bad}", LOCAL).parts
    assert "<script" not in part.figure and "&lt;script&gt;" in part.figure
    client = pages_of(hub)
    assert client.get(part.address).status_code == 200
    assert client.get(part.address.replace("/sounds/", "/pictures/").replace("?", ".png?")).content[:6] == PNG


# -- private references ----------------------------------------------------------------------------------------------------------


def test_nothing_is_heard_of_a_benchmark_with_private_references(odd):
    hub = odd([row("a", audio=cell(tone(300, 0.5)))], "secret", references="private")
    client = pages_of(hub)
    answers = {client.get(f"/{kind}").status_code for kind in ("sounds/secret/odd%2Ftrain%2Fa", "sounds/secret/nothing")}
    assert answers == {403}
    there, nowhere = (client.get(f"/sounds/secret/{id_}").text for id_ in ("odd%2Ftrain%2Fa", "nothing"))
    assert there == nowhere
    assert is_private_set(hub, "odd", "train") and not is_private_set(hub, "odd", "test")
    find = Sounds(hub)
    for ask in (lambda one: find.are_here(one, LOCAL), lambda one: find.of_benchmark(one, "odd/train/a", LOCAL)):
        with pytest.raises(RightsError, match="references of secret are private"):
            ask(hub.benchmark("secret"))


# -- what is kept ----------------------------------------------------------------------------------------------------------------


def test_sets_are_indexed_once_and_clips_kept_within_bounds(odd, monkeypatch):
    monkeypatch.setattr(module, "CLIPS_KEPT", 2)
    monkeypatch.setattr(module, "ROWS_KEPT", 1)
    hub = odd([row(name, audio=cell(tone(300, 0.2))) for name in "abc"])
    calls = {"places_of": 0, "row_at": 0}

    def counted(name):
        real = getattr(module, name)

        def call(*given):
            calls[name] += 1
            return real(*given)

        monkeypatch.setattr(module, name, call)

    counted("places_of")
    counted("row_at")
    find, benchmark = Sounds(hub), hub.benchmark("odd")
    for name in "aabcc":
        find.of_benchmark(benchmark, f"odd/train/{name}", LOCAL)
    assert calls == {"places_of": 1, "row_at": 3}
    find.of_benchmark(benchmark, "odd/train/a", LOCAL)  # made room for others
    assert calls["row_at"] == 4
    monkeypatch.setattr(module, "CLIP_BYTES", 10)
    for _ in "12":
        find.of_benchmark(benchmark, "odd/train/b", LOCAL)  # too big to keep
    assert calls["row_at"] == 6


def test_a_set_that_is_built_again_is_read_again(odd, built, tmp_path):
    hub = odd([row("a", audio=cell(tone(300, 0.2)))])
    find, benchmark = Sounds(hub), hub.benchmark("odd")
    first = find.of_benchmark(benchmark, "odd/train/a", LOCAL).parts[0]
    folder = hub.data / "data" / "odd"
    (folder / "manifest.json").unlink()
    (folder / "train.parquet").unlink()
    folder.rmdir()
    built([row("0"), row("a", audio=cell(tone(900, 0.2)))])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"]["train"]["shards"][0]["sha256"] = "1" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    second = find.of_benchmark(benchmark, "odd/train/a", LOCAL).parts[0]
    assert first.tag != second.tag and not np.array_equal(read(first.content).samples, read(second.content).samples)
    with pytest.raises(UnknownNameError, match="clip of odd"):
        find.of_benchmark(benchmark, "odd/train/0", LOCAL)  # no item of the benchmark, whatever is built now


def test_sound_that_may_not_be_played_to_everybody_is_for_admins(odd):
    """Nobody says what of this set may be published, so that a hub with accounts keeps its sound to itself."""
    hub = odd([row("a", audio=cell(tone(300, 0.5)))])
    everybody, find = Actor("anna"), Sounds(hub)
    benchmark = hub.benchmark("odd")
    assert find.are_here(benchmark, LOCAL) and not find.are_here(benchmark, everybody)
    clip = find.of_benchmark(benchmark, "odd/train/a", everybody)
    assert not clip.parts and "may be published" in clip.where[0]
    assert find.of_benchmark(benchmark, "odd/train/a", LOCAL).parts
    hub.store.close()
