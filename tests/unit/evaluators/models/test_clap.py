import csv
import json

import numpy as np
import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError, SoundError, UnknownNameError
from unified_audiocaps.evaluators.models import clap_file
from unified_audiocaps.evaluators.models.clap import Clap, load_clap
from unified_audiocaps.evaluators.models.clap_file import Clip, score_file, side_file

TEXTS = ["a dog barks", "rain", "two people talk while a very long train passes by", "a bell", "wind, then a door", "x"]
ABOUT = {"set": "odd", "set_digest": "abc"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_clap):
    folder = tmp_path_factory.mktemp("clap")
    return {
        "unfused": tiny_clap(folder / "unfused"),
        "fused": tiny_clap(folder / "fused", is_fused=True),
        "other": tiny_clap(folder / "other", seed=1),
    }


@pytest.fixture(scope="module", params=["unfused", "fused"])
def clap(request, folders) -> Clap:
    return load_clap(str(folders[request.param]), "cpu")


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.float32(0.1 * np.random.default_rng(seed).normal(size=n))


SOUNDS = [noise(n, n) for n in (100, 8000, 16000, 16040, 20000, 50000)]


def test_values_are_those_of_the_model_itself(clap, folders):
    """Of a sound that fills the window nothing is left to chance, so the plain pipeline of transformers must say the same."""
    import torch
    from transformers import ClapModel, ClapProcessor

    folder = folders["fused" if clap.ear.truncation == "fusion" else "unfused"]
    processor, model = ClapProcessor.from_pretrained(folder), ClapModel.from_pretrained(folder).eval()
    inputs = processor(audio=[noise(16000)], text=["a dog barks"], sampling_rate=8000, return_tensors="pt")
    inputs["is_longer"][:] = False
    with torch.inference_mode():
        out = model(**inputs)
    expected = float((out.audio_embeds * out.text_embeds).sum())
    (found,) = clap.similarities([clap.ear.features(noise(16000))], ["a dog barks"])
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_value_depends_on_its_clip_alone(clap):
    heard = [clap.ear.features(sound) for sound in SOUNDS]
    all_at_once = clap.similarities(heard, TEXTS)
    assert len(set(all_at_once.round(4))) == len(TEXTS)
    np.testing.assert_allclose(clap.similarities(heard, TEXTS, batch=1), all_at_once, atol=1e-5)
    turned = clap.similarities([*reversed(heard)], [*reversed(TEXTS)], batch=4)
    np.testing.assert_allclose(turned[::-1], all_at_once, atol=1e-5)
    assert (np.abs(all_at_once) <= 1).all()


def test_nothing_is_left_to_chance_and_chance_is_left_alone(clap):
    np.random.seed(7)  # noqa: NPY002 - what another program did
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first = [clap.ear.features(sound) for sound in SOUNDS]
    np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002
    again = [clap.ear.features(sound) for sound in SOUNDS]
    for (one, is_long), (other, was_long) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert is_long == was_long


def test_only_long_sounds_are_long(folders):
    clap = load_clap(str(folders["fused"]), "cpu")
    assert [clap.ear.features(sound)[1] for sound in SOUNDS] == [False, False, False, False, True, True]


def test_of_a_long_sound_the_middle_is_heard(folders):
    clap = load_clap(str(folders["unfused"]), "cpu")
    middle = noise(16000)
    long = np.concatenate([np.zeros(4000, np.float32), middle, np.zeros(4001, np.float32)])
    np.testing.assert_array_equal(clap.ear.features(long)[0], clap.ear.features(middle)[0])


def test_the_signature_says_what_moves_a_value(folders):
    unfused, other = (load_clap(str(folders[name]), "cpu") for name in ("unfused", "other"))
    text = unfused.signature({"resampler": "soxr_hq"}).recipe
    for part in ("long:middle", "short:repeatpad", "sampling_rate_hz:8000", "window_s:2", "local@sha256:", "resampler:soxr_hq"):
        assert part in text
    assert unfused.signature({}).digest != other.signature({}).digest


def test_models_that_are_none_are_refused(tmp_path, folders):
    with pytest.raises(UnknownNameError, match="no CLAP model"):
        load_clap(str(tmp_path / "gone"), "cpu")
    with pytest.raises(InputError, match=r"it has no config.json"):
        load_clap(str(tmp_path), "cpu")
    (tmp_path / "config.json").write_text('{"model_type": "clap"}')
    with pytest.raises(InputError, match="cannot be loaded as a CLAP model with its processor"):
        load_clap(str(tmp_path), "cpu")
    with pytest.raises(MissingRequirementError, match="The CLAP model laion/no-such-model is not available"):
        load_clap("laion/no-such-model", "cpu")


def test_a_processor_of_the_other_kind_is_refused(tmp_path, tiny_clap):
    folder = tiny_clap(tmp_path / "mixed")
    for path in folder.glob("*processor*.json"):
        path.write_text(path.read_text().replace('"rand_trunc"', '"fusion"'))
    with pytest.raises(InputError, match=r"was not trained with feature fusion.*is 'fusion'; expected 'rand_trunc'"):
        load_clap(str(folder), "cpu")


# -- the file --------------------------------------------------------------------------------------------------------------------


def clips(n: int) -> list[Clip]:
    """Every fifth has no sound, one is damaged, one has no caption."""

    def samples(number: int):
        def load(rate_hz: int) -> np.ndarray:
            assert rate_hz == 8000
            if number % 5 == 3:
                raise SoundError("missing", "the row holds no sound")
            if number == 4:
                raise SoundError("damaged", "cut")
            return noise(4000 + 100 * number, number)

        return load

    return [Clip(f'odd/"{number}",x', " " if number == 6 else f"{'long ' * (number % 4)}text {number}", samples(number))
            for number in range(n)]  # fmt: skip


@pytest.fixture(scope="module")
def small(folders) -> Clap:
    return load_clap(str(folders["unfused"]), "cpu")


@pytest.fixture(autouse=True)
def groups_of_four(monkeypatch):
    monkeypatch.setattr(clap_file, "CLIPS_AT_ONCE", 4)


def scored(path, clap, n=20, about=ABOUT, batch=None, some=None):
    return score_file(clips(n) if some is None else some, clap, path, signature=clap.signature({}), about=about, batch=batch)


def test_a_file_of_scores(small, tmp_path):
    report = scored(tmp_path / "x.csv", small)
    with (tmp_path / "x.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["id", "score"]
    without = {3, 4, 6, 8, 13, 18}
    assert [id_ for id_, _ in rows] == [clip.id for number, clip in enumerate(clips(20)) if number not in without]
    one = clips(20)[7]
    (expected,) = small.similarities([small.ear.features(one.samples(8000))], [one.caption])
    assert float(rows[4][1]) == pytest.approx(expected, abs=1e-5)
    assert (report.n_scored, report.n_reused) == (14, 0)
    beside = json.loads(side_file(tmp_path / "x.csv").read_text())
    assert beside["complete"]
    assert beside["scored"] == 14
    assert beside["digest"] == small.signature({}).digest
    assert {reason: found["count"] for reason, found in beside["not_scored"].items()} == {
        "damaged": 1, "missing": 4, "no_caption": 1,
    }  # fmt: skip
    assert beside["not_scored"]["damaged"]["ids"] == [clips(5)[4].id]


@pytest.mark.parametrize("n_read", [0, 1, 5, 9, 12, 19])
def test_a_file_that_was_cut_becomes_the_same_file(small, tmp_path, n_read):
    scored(tmp_path / "whole.csv", small)

    def cut():
        yield from clips(20)[:n_read]
        raise KeyboardInterrupt

    path = tmp_path / "cut.csv"
    with pytest.raises(KeyboardInterrupt):
        scored(path, small, some=cut())
    report = scored(path, small)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert side_file(path).read_bytes() == side_file(tmp_path / "whole.csv").read_bytes()
    assert report.n_reused % 4 == 0
    assert report.n_reused == 4 * ((n_read - sum(number < n_read for number in (3, 4, 6, 8, 13, 18))) // 4)


@pytest.mark.parametrize("n_bytes", [0, 1, 20, 60, 100, 150, 200])
def test_a_file_cut_at_any_byte_becomes_the_same_file(small, tmp_path, n_bytes):
    scored(tmp_path / "whole.csv", small)
    path = tmp_path / "cut.csv"
    path.write_bytes((tmp_path / "whole.csv").read_bytes()[: len(clap_file.HEADER) + n_bytes])
    beside = json.loads(side_file(tmp_path / "whole.csv").read_text())
    side_file(path).write_text(json.dumps({**beside, "complete": False, "scored": 0, "not_scored": {}}))
    scored(path, small)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert side_file(path).read_bytes() == side_file(tmp_path / "whole.csv").read_bytes()


def test_a_whole_file_is_not_computed_again(small, tmp_path):
    scored(tmp_path / "x.csv", small)
    report = scored(tmp_path / "x.csv", small, some=(pytest.fail("read") for _ in range(1)))
    assert (report.n_scored, report.n_reused) == (14, 14)
    assert len(report.not_scored["missing"]) == 4


def test_files_of_something_else_are_left_alone(small, folders, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("my own file")
    with pytest.raises(InputError, match=r"no x.csv.json beside it, so it is no file of ours"):
        scored(path, small)
    assert path.read_text() == "my own file"
    path.unlink()
    scored(path, small)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"holds other scores .*signature is .*; choose another --out"):
        scored(path, load_clap(str(folders["other"]), "cpu"))
    with pytest.raises(InputError, match="set_digest is abc, not new"):
        scored(path, small, about={**ABOUT, "set_digest": "new"})
    side_file(path).write_text("{}")
    with pytest.raises(InputError, match=r"delete it and x.csv"):
        scored(path, small)
    assert path.read_bytes() == before


def test_lines_of_other_clips_are_found_out(small, tmp_path):
    path = tmp_path / "x.csv"
    scored(path, small)
    beside = json.loads(side_file(path).read_text())
    side_file(path).write_text(json.dumps({**beside, "complete": False}))
    with pytest.raises(InputError, match=r"has the id .* where .* is expected; it belongs to another build"):
        scored(path, small, some=clips(20)[1:])


def test_a_set_without_sound_leaves_no_file(small, tmp_path):
    with pytest.raises(InputError, match=r"no clip of odd can be scored \(1 missing\); nothing was written"):
        scored(tmp_path / "x.csv", small, some=[clips(4)[3]])
    assert list(tmp_path.iterdir()) == []
