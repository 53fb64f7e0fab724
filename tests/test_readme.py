"""README's calls, pasted into a shell against a real server, give the answers it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.demo.server import running_server

README = (Path(__file__).parent.parent / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def url():
    with running_server() as client:
        yield str(client.http.base_url).rstrip("/")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)


def console_calls():
    """(command, answer) pairs, in order. A command goes on while a quote is open."""
    for block in blocks("console"):
        for call in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = call.splitlines()
            length = next(n for n in range(1, len(lines) + 1) if "\n".join(lines[:n]).count("'") % 2 == 0)
            yield "\n".join(lines[:length]), "\n".join(lines[length:])


def test_console_calls_answer_as_shown(url):
    shown = list(console_calls())
    answers = [
        subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, url)], capture_output=True, text=True, check=True
        ).stdout
        for command, _ in shown
    ]
    assert [answer.strip() for answer in answers] == [answer.strip() for _, answer in shown]
    assert len(shown) == 17


def test_python_example_prints_what_it_shows(url):
    (code,) = blocks("python")
    output = subprocess.run(
        [sys.executable, "-c", code.replace(ADDRESS, url)], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == code.strip().splitlines()[-1].removeprefix("# ")
