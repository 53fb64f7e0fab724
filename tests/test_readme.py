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


ROUNDED = r"-?\d+\.\d{5,}(?:e-?\d+)?"  # numbers whose last digits are those of a machine's BLAS


def assert_same(answer, shown):
    """Text by text to the letter; of long decimals the first five digits and what follows from rounding."""
    assert re.split(ROUNDED, answer.strip()) == re.split(ROUNDED, shown.strip())
    numbers = [[float(number) for number in re.findall(ROUNDED, text)] for text in (answer, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5, abs=0)


def test_console_calls_answer_as_shown(url):
    shown = list(console_calls())
    answers = [
        subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, url)], capture_output=True, text=True, check=True
        ).stdout
        for command, _ in shown
    ]
    assert len(shown) == 17
    for answer, (_, expected) in zip(answers, shown, strict=True):
        assert_same(answer, expected)


@pytest.mark.parametrize(
    ("shown", "same", "other"),
    [
        ('{"score":1.4109885}', '{"score":1.4109887}\n', '{"score":1.4110885}'),
        ("mrr 0.333 (0.123 to 0.500)", "mrr 0.333 (0.123 to 0.500)", "mrr 0.333 (0.124 to 0.500)"),
        ('{"id":"a","score":0.99931484}', '{"id":"a","score":0.9993149}', '{"id":"b","score":0.99931484}'),
        ("0.9999999", "1.0000001", "1.0000301"),
    ],
)
def test_only_last_digits_may_differ(shown, same, other):
    assert_same(same, shown)
    with pytest.raises(AssertionError):
        assert_same(other, shown)


def test_python_example_prints_what_it_shows(url):
    (code,) = blocks("python")
    command = [sys.executable, "-c", code.replace(ADDRESS, url)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == code.strip().splitlines()[-1].removeprefix("# ")
