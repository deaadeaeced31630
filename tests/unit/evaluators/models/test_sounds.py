import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.evaluators.models.sounds import sounds_by_id


def test_a_file_is_found_by_its_id(tmp_path):
    (tmp_path / "dog.wav").touch()
    (tmp_path / "set_test_rain.flac").touch()
    (tmp_path / "set" / "test").mkdir(parents=True)
    (tmp_path / "set" / "test" / "bell.mp3").touch()
    found = sounds_by_id(tmp_path, ["dog", "set/test/rain", "set/test/bell", "dog.wav"])
    assert [path.name for path in found.values()] == ["dog.wav", "set_test_rain.flac", "bell.mp3", "dog.wav"]


def test_all_ids_without_sound_are_told(tmp_path):
    (tmp_path / "dog.wav").touch()
    with pytest.raises(InputError, match="no sound for 2 of 3 ids") as told:
        sounds_by_id(tmp_path, ["dog", "rain", "../rain"])
    assert [problem.id for problem in told.value.problems] == ["rain", "../rain"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        sounds_by_id(tmp_path / "nowhere", ["dog"])
