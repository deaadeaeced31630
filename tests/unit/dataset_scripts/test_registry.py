import pytest
from unified_audiocaps.dataset_scripts.errors import UnknownNameError
from unified_audiocaps.dataset_scripts.registry import Registry


class Tool:
    pass


@pytest.fixture
def registry(tmp_path, monkeypatch):
    package = tmp_path / "toolbox_for_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "hammer.py").write_text(f"from {__name__} import Tool\n\nclass Hammer(Tool): pass\n")
    (package / "empty.py").touch()
    (package / "_private.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registry("tool", "toolbox_for_test", Tool, "toolbox list")


def test_a_module_is_found_by_its_name_alone(registry):
    assert registry.names() == ["empty", "hammer"]
    assert registry.get("hammer").__name__ == "Hammer"


def test_unknown_name_proposes_a_close_one(registry):
    with pytest.raises(UnknownNameError, match="Did you mean hammer"):
        registry.get("hamer")


def test_module_without_its_class_is_a_mistake_of_ours(registry):
    with pytest.raises(TypeError, match="must define one subclass of Tool, found 0"):
        registry.get("empty")
