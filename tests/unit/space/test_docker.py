"""The container files name only what exists: files, commands, settings, one port. No engine is needed to know that."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from unified_audiocaps.dataset_scripts.settings import Settings
from unified_audiocaps.space.cli import app

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "space" / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
PORT = "7860"
INSTRUCTIONS = set(
    "FROM RUN CMD LABEL EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG STOPSIGNAL HEALTHCHECK SHELL".split()
)
# written for docker compose alone, or read by other programs
OTHER_VARIABLES = {"UAC_DB_PASSWORD", "HF_TOKEN", "PGPASSWORD", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
USAGE_ERROR = typer.BadParameter.__base__  # typer brings its own copy of click
SETTINGS = {f"UAC_{name.upper()}" for name in Settings.__dataclass_fields__}


def steps(path: Path) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile with their arguments."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines() if line.strip()]


FILES = {"self-hosted": DOCKER / "Dockerfile", "space": ROOT / "space/hub_space/Dockerfile"}


@pytest.fixture(params=FILES)
def dockerfile(request) -> list[tuple[str, str]]:
    return steps(FILES[request.param])


def stages(found: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    starts = [place for place, (name, _) in enumerate(found) if name == "FROM"]
    return [found[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def command_of(text: str) -> list[str]:
    """Returns the words of a CMD, which is a JSON list."""
    words = json.loads(text)
    assert all(isinstance(word, str) for word in words)
    return words


def check_uac(words: list[str]) -> None:
    """Fails where `uac` has no such command or options."""
    assert words[0] == "uac"
    command, rest, context = typer.main.get_command(app), words[1:], None
    while hasattr(command, "resolve_command"):
        context = command.make_context("uac", list(rest[:1]), parent=context)
        _, command, rest = command.resolve_command(context, list(rest))
    command.make_context(words[-1], list(rest), parent=context)  # parses, and runs nothing


@pytest.mark.parametrize(
    "words", [["uac", "sevre"], ["uac", "serve", "--prot", "1"], ["uac", "build"], ["uac", "work", "--workers", "x"]]
)
def test_the_check_of_commands_fails_for_wrong_ones(words):
    with pytest.raises(USAGE_ERROR):
        check_uac(words)


def test_instructions_are_known_and_every_stage_begins_with_a_python_that_we_support(dockerfile):
    assert {name for name, _ in dockerfile} <= INSTRUCTIONS
    assert dockerfile[0][0] == "FROM"
    assert {arguments.split()[0] for name, arguments in dockerfile if name == "FROM"} == {"python:3.11-slim"}
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()


def test_what_is_copied_exists_and_is_not_kept_away_from_the_build():
    found, allowed = steps(DOCKER / "Dockerfile"), set()
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!"):
            allowed.add(line[1:])
    names = {words.split(" AS ")[1] for name, words in found if name == "FROM" and " AS " in words}
    copied = set()
    for words in (shlex.split(words) for name, words in found if name == "COPY"):
        options, paths = [word for word in words if word.startswith("--")], [word for word in words if not word.startswith("--")]
        if stage := [option.removeprefix("--from=") for option in options if option.startswith("--from=")]:
            assert set(stage) <= names
            continue
        copied |= set(paths[:-1])
    assert copied == allowed
    assert all((ROOT / one).exists() for one in copied)


def test_the_space_copies_what_is_published():
    words = " ".join(words for name, words in steps(FILES["space"]) if name == "COPY")
    assert re.findall(r"[\w@.]+\.(?:txt|py)|@wheel@", words) == ["requirements.txt", "constraints.txt", "@wheel@", "app.py"]


def test_nothing_runs_as_root_and_the_command_exists(dockerfile):
    last = stages(dockerfile)[-1]
    users = [words for name, words in last if name == "USER"]
    commands = [words for name, words in last if name == "CMD"]
    assert users and users[-1] not in {"root", "0"}
    assert len(commands) == 1
    words = command_of(commands[0])
    if words[0] == "uac":
        check_uac(words)
    else:
        assert words == ["python", "app.py"]


def test_images_name_only_settings_that_exist(dockerfile):
    variables = {pair.partition("=")[0] for name, words in dockerfile if name == "ENV" for pair in shlex.split(words)}
    ours = {name for name in variables if name.startswith("UAC_")}
    assert ours and ours <= SETTINGS


def test_torch_comes_first_from_the_index_without_cuda(dockerfile):
    installs = [words for name, words in dockerfile if name == "RUN" and "pip install" in words]
    assert "torch==" in installs[0] and "https://download.pytorch.org/whl/cpu" in installs[0]
    assert len(installs) == 2 and "torch" not in installs[1]
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_ports_and_the_volume_agree():
    last = stages(steps(DOCKER / "Dockerfile"))[-1]
    told = dict(last)
    assert told["EXPOSE"] == PORT
    assert f"127.0.0.1:{PORT}/api/v1/healthz" in told["HEALTHCHECK"]
    assert command_of(told["CMD"])[-1] == PORT
    web = COMPOSE["services"]["web"]
    assert web["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert web["command"][web["command"].index("--port") + 1] == PORT
    assert f"http://web:{PORT}/" in COMPOSE["services"]["worker"]["healthcheck"]["test"][-1]
    assert web["volumes"] == [f"hub:{told['VOLUME']}"]
    assert dict(steps(FILES["space"]))["EXPOSE"] == PORT


def test_the_probes_are_python_and_ask_routes_that_exist():
    texts = [command_of(dict(stages(steps(DOCKER / "Dockerfile"))[-1])["HEALTHCHECK"].split("CMD ")[1])[-1]]
    texts.append(COMPOSE["services"]["worker"]["healthcheck"]["test"][-1])
    routes = (ROOT / "space/api/operations.py").read_text()
    for text in texts:
        compile(text, "probe", "exec")
        (route,) = re.findall(r":7860(/[\w/]+)", text)
        assert f'@app.get("{route}"' in routes


def test_compose_builds_from_files_that_exist():
    for name, service in COMPOSE["services"].items():
        if "build" in service:
            context = (DOCKER / service["build"]["context"]).resolve()
            assert context == ROOT, name
            assert (context / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", [name for name, service in COMPOSE["services"].items() if "command" in service])
def test_commands_of_services_exist(name):
    check_uac(COMPOSE["services"][name]["command"])


def test_services_depend_on_each_other_in_ways_that_can_come_true():
    services = COMPOSE["services"]
    for service in services.values():
        for name, asked in service.get("depends_on", {}).items():
            on = services[name]
            if asked["condition"] == "service_healthy":
                is_ours = "build" in on  # its image has a check
                assert is_ours or "test" in on["healthcheck"]
            else:
                assert asked["condition"] == "service_completed_successfully" and on["restart"] == "no"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
    assert services["db"]["image"] == "postgres:16"
    assert services["worker"]["command"][:2] == ["uac", "work"]


def test_variables_are_settings_and_the_password_has_no_default():
    text = (DOCKER / "compose.yaml").read_text()
    named = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    read = dict(re.findall(r"\$\{(\w+)(:[-?])?", text))
    example = {line.partition("=")[0] for line in (DOCKER / "env.example").read_text().splitlines() if line and line[0] != "#"}
    assert named | read.keys() | example <= SETTINGS | OTHER_VARIABLES
    assert all(read.values()), "a variable without :- or :? is empty without a word"
    assert read["UAC_DB_PASSWORD"] == read["UAC_ADMINS"] == ":?"
    assert example <= read.keys()
    assert not re.search(r"PASSWORD: (?!\$\{)", text), "a password stands in the file"
    assert not re.search(r"^UAC_DB_PASSWORD=.", (DOCKER / "env.example").read_text(), re.MULTILINE)
    assert ".env" in (DOCKER / ".gitignore").read_text().split()
    assert "**/.env" in (DOCKER / "Dockerfile.dockerignore").read_text().split()
