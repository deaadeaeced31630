from pathlib import Path

import pytest
from unified_audiocaps.dataset_scripts.errors import InputError
from unified_audiocaps.dataset_scripts.settings import Settings


def test_defaults_need_no_environment():
    settings = Settings.from_environment({})
    assert settings.data == Path("unified-audiocaps")
    assert settings.home == Path.home() / ".cache" / "unified-audiocaps"
    assert settings.db_url == f"sqlite:///{settings.home}/hub.db"


def test_variables_override_defaults_with_their_types():
    settings = Settings.from_environment(
        {"UAC_HOME": "~/x", "UAC_LEASE_S": "1.5", "UAC_MAX_ATTEMPTS": "7", "UAC_DB": "sqlite:///a.db"}
    )
    assert (settings.home, settings.lease_s, settings.max_attempts, settings.db_url) == (
        Path.home() / "x",
        1.5,
        7,
        "sqlite:///a.db",
    )


def test_the_key_of_the_judge_is_not_shown_and_has_two_names():
    both = {"UAC_JUDGE_KEY": "own", "OPENAI_API_KEY": "other"}
    settings = Settings.from_environment(both)
    assert settings.judge_key == "own"
    assert "own" not in repr(settings)
    assert Settings.from_environment({"OPENAI_API_KEY": "other"}).judge_key == "other"
    assert Settings.from_environment({}).judge_key == ""


def test_empty_variable_is_no_setting():
    assert Settings.from_environment({"UAC_ENCODER": ""}).encoder == "minilm"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("UAC_LEASE_S", "soon", "expected a number"), ("UAC_MAX_ATTEMPTS", "2.5", "expected a whole number")],
)
def test_wrong_type_is_said(name, value, told):
    with pytest.raises(InputError, match=f"{name} is '{value}'; {told}"):
        Settings.from_environment({name: value})
