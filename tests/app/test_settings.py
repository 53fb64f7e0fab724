"""Settings: each documented, each an environment variable, and read in one place."""

import ast
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.cli import settings_with
from app.errors import ConfigurationError
from app.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
# the second passes the environment on, the third a part of it, the fourth sets a default for OpenMP
READERS = {"app/settings.py", "app/demo/server.py", "app/onnx/runner.py", "app/cli.py"}
KEYS = f"read:{'a' * 64}", f"write:{'b' * 64}"
CHOSEN = {
    "store": ("redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3"),
    "index_folder": ("indexes", "indexes"),
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "keys": (",".join(KEYS), KEYS),
    "access_log": ("true", True),
    "max_body_bytes": ("1000", 1000),
    "max_rows": ("17", 17),
    "max_dim": ("4", 4),
    "max_k": ("5", 5),
    "max_hits": ("6", 6),
    "max_payload_bytes": ("9", 9),
    "max_answer_bytes": ("12", 12),
    "max_outputs": ("8", 8),
    "max_requests": ("1", 1),
    "max_model_bytes": ("10", 10),
    "max_model_memory": ("11", 11),
    "max_model_seconds": ("0.5", 0.5),
}
LIMITS = [name for name in CHOSEN if name.startswith("max_")]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for wing in ("app", "models", "anchors")
    for path in (ROOT / wing).rglob("*.py")
)


def reads_environment(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.name if isinstance(node, ast.alias) else ""
    return name in ("environ", "environb", "getenv", "getenvb")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented(name: str) -> None:
    assert f"ANCHORAGE_{name.upper()}" in README


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_describes_itself(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_environment_sets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = CHOSEN[name]
    monkeypatch.setenv(f"ANCHORAGE_{name.upper()}", text)
    assert getattr(settings_with(), name) == value


@pytest.mark.parametrize("text", [KEYS[0], f" {KEYS[0]} ", f"{KEYS[0]},"])
def test_one_key_is_one_key(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORAGE_KEYS", text)
    assert settings_with().keys == KEYS[:1]


def test_an_empty_list_of_keys_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORAGE_KEYS", "")
    assert settings_with().keys == ()


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORAGE_PORT", "1")
    assert settings_with(port=2).port == 2


def test_an_option_that_is_not_given_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORAGE_PORT", "1")
    assert settings_with(port=None).port == 1


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_a_limit_is_a_positive_number(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(name, text, monkeypatch)


@pytest.mark.parametrize("name", [name for name in LIMITS if Settings.model_fields[name].annotation is int])
def test_a_limit_that_counts_is_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(name, "1.5", monkeypatch)


def refused(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ANCHORAGE_{name.upper()}", text)
    with pytest.raises(ConfigurationError, match=f"ANCHORAGE_{name.upper()}"):
        settings_with()


def test_every_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORAGE_PORT", "x")
    monkeypatch.setenv("ANCHORAGE_MAX_K", "x")
    with pytest.raises(ConfigurationError, match=r"ANCHORAGE_PORT.*ANCHORAGE_MAX_K"):
        settings_with()


def test_settings_stay_as_they_are() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize("path", [path for path in FILES if path not in READERS])
def test_nobody_else_reads_the_environment(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert [node.lineno for node in ast.walk(tree) if reads_environment(node)] == []
