import hashlib
import json
import shutil
import stat
import sys

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError, MissingRequirementError
from unified_audiocaps.evaluators.models import spice_java
from unified_audiocaps.evaluators.models.java_process import run_once
from unified_audiocaps.evaluators.pairs import CaptionPairs
from unified_audiocaps.evaluators.score import score
from unified_audiocaps.evaluators.workspace import Options, Workspace

PAIRS = CaptionPairs.join({"b": "A dog barks!", "a": "it rains"}, {"b": ["a dog", "a dog barks"], "a": ["heavy rain"]})

# stands in for `java` and, behind it, the program: same command line, same files
JAVA = """#!{python}
import json, sys, time
if sys.argv[1:] == ["-version"]:
    sys.exit(print('openjdk version "{version}"', file=sys.stderr))
options, jar, (asked, *given) = sys.argv[1:2], sys.argv[2:4], sys.argv[4:]
assert (options, jar) == (["-Xmx8G"], ["-jar", "spice-1.0.jar"]), sys.argv
assert given[0] == "-out" and given[2:] == ["-silent"], sys.argv
with open("spice-1.0.jar", encoding="utf-8") as jar:
    assert jar.read() == "the program"
with open(asked, encoding="ascii") as file:
    items = json.load(file)
print("Parsing reference captions", file=sys.stderr)
scores = []
for item in items:
    assert sorted(item) == ["image_id", "refs", "test"]
    shared = set(item["test"].split()) & set(" ".join(item["refs"]).split())
    all_tuples = {{"f": len(shared) / 4, "pr": 1.0, "re": 0.5, "tp": len(shared), "fp": 0, "fn": 1, "numImages": 1}}
    scores.append({{"image_id": item["image_id"], "scores": {{"All": all_tuples}}}})
{then}
with open(given[1], "w") as file:
    json.dump(scores[::-1], file)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A folder with the program and CoreNLP, and a `java` that is the first in PATH."""

    def program(version="11.0.2", then=""):
        lib = tmp_path / "pycocoevalcap" / "spice" / "lib"
        lib.mkdir(parents=True)
        for name in spice_java.CORENLP_JARS:
            (lib / name).touch()
        (lib.parent / "spice-1.0.jar").write_text("the program", encoding="utf-8")
        (tmp_path / "pycocoevalcap" / "__init__.py").touch()
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(JAVA.format(python=sys.executable, version=version, then=then), encoding="utf-8")
        java.chmod(java.stat().st_mode | stat.S_IXUSR)
        monkeypatch.delitem(sys.modules, "pycocoevalcap", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PATH", str(java.parent))
        return lib

    return program


def from_file(tmp_path, content, name="s.csv", pairs=PAIRS):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return score(pairs, ["spice"], Options(spice=path))[0]


def test_values_come_from_the_file(tmp_path):
    result = from_file(tmp_path, "id,spice\na,0.25\nb,1\n")
    assert result.per_item.tolist() == [1.0, 0.25]
    assert result.score == 0.625
    digest = hashlib.sha256(b"id,spice\na,0.25\nb,1\n").hexdigest()[:12]
    assert f"|spice:file@sha256:{digest}|" in result.signature.text


def test_other_values_are_another_signature(tmp_path):
    first, second = (from_file(tmp_path, f"id,spice\na,0.25\nb,{value}\n") for value in (1, 0.5))
    assert first.signature.digest != second.signature.digest


def test_a_file_covers_exactly_the_items(tmp_path):
    with pytest.raises(InputError, match=r"1 of 2 SPICE values are missing.*\n.*id 'b' has no value for candidate 0") as caught:
        from_file(tmp_path, "id,spice\na,0.25\n")
    assert [(p.code, p.id) for p in caught.value.problems] == [("E_MISSING_ID", "b")]
    with pytest.raises(InputError, match="line 4: E_UNKNOWN_ID: no item has the id 'c'"):
        from_file(tmp_path, "id,spice\na,0.25\nb,1\nc,1\n")
    with pytest.raises(InputError, match=r"line 4: E_VALUE.*candidate is 1; the item has 1, counted from 0"):
        from_file(tmp_path, "id,spice,candidate\na,0.25,0\nb,1,0\nb,1,1\n")


def test_the_first_of_several_candidates_counts(tmp_path):
    pairs = CaptionPairs.in_order([["x", "y"]], [["z"]])
    rows = [{"id": "0", "spice": 0.75, "candidate": 1}, {"id": "0", "spice": 0.5}]
    assert from_file(tmp_path, "\n".join(map(json.dumps, rows)), "s.jsonl", pairs).score == 0.5
    assert from_file(tmp_path, json.dumps(rows[1]), "s.jsonl", pairs).score == 0.5


def test_the_program_scores_words(program):
    program()
    (result,) = score(PAIRS, ["spice"])
    assert result.per_item.tolist() == [3 / 4, 0.0]  # "a dog barks" without its mark; image ids in another order
    assert "|corenlp:3.6.0|" in f"|{result.signature.text}"
    digest = hashlib.sha256(b"the program").hexdigest()[:12]
    assert f"|spice:java@sha256:{digest}|" in result.signature.text


def test_alternatives_take_one_run(program, monkeypatch):
    from unified_audiocaps.evaluators.metrics import spice

    program()
    runs = []
    monkeypatch.setattr(spice, "spice_by_java", lambda *texts: runs.append(texts) or spice_java.spice_by_java(*texts))
    pairs = CaptionPairs.in_order([["a", "A dog.", "dog"], ["it", "rain it", "no"]], [["a dog"], ["It", "rains"]])
    work = Workspace(pairs, Options())
    assert work.shared(spice.spice_of_alternatives).tolist() == [[2 / 4, 1 / 4], [1 / 4, 0.0]]
    assert work.shared(spice.spice_values).tolist() == [1 / 4, 1 / 4]
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("sys.exit('out of memory')", "ended with code 1 and said: Parsing reference captions / out of memory"),
        ("sys.exit(0)", "It wrote ''; expected a list with image_id and scores from 0 to 1 for 2 captions"),
        ("scores.pop()", "It wrote .*image_id.*; expected a list"),
        ("scores[0]['scores']['All']['f'] = float('nan')", "expected a list"),
        ("scores = [1]", "expected a list"),
    ],
)
def test_a_program_that_fails(program, then, message):
    program(then=then)
    with pytest.raises(MissingRequirementError, match=message):
        score(PAIRS, ["spice"])


def test_a_program_that_does_not_end(program, monkeypatch):
    program(then="time.sleep(60)")
    monkeypatch.setattr(spice_java, "START_LIMIT_S", 0.5)
    monkeypatch.setattr(spice_java, "TEXT_LIMIT_S", 0.0)
    with pytest.raises(MissingRequirementError, match=r"did not end within 0\.5 s"):
        score(PAIRS, ["spice"])


def test_a_java_without_a_script_engine(program):
    program(version="17.0.15")
    with pytest.raises(MissingRequirementError, match=r"Java 8 to 14 is not available.*is Java 17.*first in PATH"):
        score(PAIRS, ["spice"])


def test_corenlp_is_asked_for_and_not_downloaded(program):
    lib = program()
    (lib / "stanford-corenlp-3.6.0-models.jar").unlink()
    with pytest.raises(MissingRequirementError) as caught:
        score(PAIRS, ["spice"])
    text = str(caught.value)
    assert f"stanford-corenlp-3.6.0-models.jar is not in {lib}." in text
    assert "--spice FILE" in text
    assert "aac-metrics" in text
    assert sorted(path.name for path in lib.iterdir()) == ["stanford-corenlp-3.6.0.jar"]


def test_the_package_as_it_is_installed(unavailable):
    folder = pytest.importorskip("pycocoevalcap").__path__[0]
    try:
        assert spice_java.spice_jar().is_file()
        unavailable("CoreNLP is here")
    except MissingRequirementError as error:
        assert f"stanford-corenlp-3.6.0.jar and stanford-corenlp-3.6.0-models.jar are not in {folder}/spice/lib" in str(error)


def test_the_real_program_without_corenlp(tmp_path, unavailable):
    """What Java says about the jars that are missing is what the user sees."""
    if shutil.which("java") is None:
        unavailable("SPICE needs Java")
    folder = tmp_path / "spice"  # without the lib folder beside it, whatever lies in the real one
    folder.mkdir()
    package = pytest.importorskip("pycocoevalcap").__path__[0]
    (folder / "spice-1.0.jar").symlink_to(f"{package}/spice/spice-1.0.jar")
    with pytest.raises(MissingRequirementError, match=r"spice-1\.0\.jar ran with .*code 1 and said: .*NoClassDefFoundError"):
        run_once("SPICE", shutil.which("java"), folder / "spice-1.0.jar", ("in.json", "-silent"), options=(), limit_s=120)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirementError, match=r"spice-1\.0\.jar comes with the package pycocoevalcap.*or: a file of"):
        score(PAIRS, ["spice"])
