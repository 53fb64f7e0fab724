"""The house rules that a program can check."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import errors as app_errors
from models import errors as model_errors

ROOT = Path(__file__).parents[2]
WINGS = ("app", "models", "anchors")
FILES = sorted(path.relative_to(ROOT).as_posix() for wing in WINGS for path in (ROOT / wing).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 50
WEB = {"fastapi", "starlette", "pydantic", "pydantic_settings", "redis", "faiss", "uvicorn"}

each_file = pytest.mark.parametrize("path", FILES)


def python(folder: Path, code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-B", "-c", code]
    places = {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def functions(path: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imported(path: str) -> set[str]:
    """The packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


# nothing happens at import


@pytest.fixture(scope="module")
def after_import(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An empty folder in which everything was imported, with settings that nobody may read yet; its threads."""
    folder = tmp_path_factory.mktemp("import")
    code = "import app.main, app.cli, app.doctor, models, anchors, threading; print(threading.active_count())"
    places = {"HOME": str(folder), "TMPDIR": str(folder), "ANCHORAGE_PORT": "none", "ANCHORAGE_STORE": "none"}
    return folder, python(folder, code, **places)


def test_an_import_creates_no_file(after_import: tuple[Path, str]) -> None:
    assert list(after_import[0].iterdir()) == []


def test_an_import_starts_no_thread(after_import: tuple[Path, str]) -> None:
    assert after_import[1] == "1"


@pytest.mark.parametrize("module", ["models", "anchors"])
def test_an_import_loads_no_web_and_no_store(module: str, tmp_path: Path) -> None:
    loaded = python(tmp_path, f"import {module}, sys; print(*sys.modules)").split()
    assert WEB.intersection(loaded) == set()


QUICK = {
    "help": "--help",
    "key": "key write",
    "a key of no scope": "key root",
    "healthcheck": "healthcheck --url http://127.0.0.1:1",
    "a setting that cannot be used": "serve --port x",
    "an open door": "serve --host 0.0.0.0",
}


@pytest.mark.parametrize("words", QUICK.values(), ids=QUICK)
def test_the_command_answers_without_loading_the_server(tmp_path: Path, words: str) -> None:
    code = f"""
import atexit, sys
from app.cli import main
sys.argv = ["anchorage", *{words.split()}]
atexit.register(lambda: print("loaded", *sys.modules))
try:
    main()
except SystemExit as exit_:
    print(exit_.code)
"""
    *_, loaded = python(tmp_path, code).splitlines()
    assert "app.cli" in loaded.split()
    assert {"fastapi", "uvicorn", "faiss", "redis", "torch", "numpy"}.intersection(loaded.split()) == set()


# how files are written


@each_file
def test_a_module_says_what_it_is(path: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@each_file
def test_a_file_is_short(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= LONGEST_FILE


@each_file
def test_functions_are_short(path: str) -> None:
    sizes = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(path)}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION} == {}


@each_file
def test_nothing_is_pickled(path: str) -> None:
    assert imported(path).isdisjoint({"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"})


@each_file
def test_no_file_is_called_utils(path: str) -> None:
    assert Path(path).stem not in {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("folder", [path for path in (ROOT / "tests").rglob("*") if path.is_dir()])
def test_tests_are_no_package(folder: Path) -> None:
    assert not (folder / "__init__.py").exists()


@pytest.mark.parametrize("module", [app_errors, model_errors], ids=["app", "models"])
def test_the_tree_of_errors_is_whole(module: object) -> None:
    own = {
        name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    drawn = set(re.findall(r"^[ │]*(?:[├└]── )?([A-Z]\w+)(?:  |$)", module.__doc__ or "", re.MULTILINE))
    assert drawn == own
