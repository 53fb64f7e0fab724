"""The scripts of examples/, run against a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.demo.server import running_server

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def run():
    """run(script): the finished process."""
    with running_server() as client:
        url, places = str(client.http.base_url), {**os.environ, "OMP_NUM_THREADS": "1"}  # the cores are shared
        yield lambda script: subprocess.run(
            [sys.executable, EXAMPLES / script, url], env=places, capture_output=True, text=True, check=False
        )


def figures(done):
    """What it prints, by name."""
    assert done.returncode == 0, done.stderr
    return {name: float(value) for name, value in re.findall(r"^(\w+) +([\d.]+)$", done.stdout, re.M)}


def test_a_decoder_of_torch_draws_what_another_encoder_has_seen(run):
    found = figures(run("torch_decoder.py"))
    assert found["native"] < found["stitched"] < 0.5 * found["unstitched"]


def test_a_classifier_of_scikit_learn_labels_what_another_encoder_has_seen(run):
    found = figures(run("sklearn_classifier.py"))
    assert found["stitched"] > 0.9 * found["native"] > 0.8
    assert found["unstitched"] < 0.5


def test_a_head_of_hugging_face_is_stitched_or_what_is_missing_is_said(run):
    done = run("huggingface_head.py")
    if done.returncode == 0:
        assert "get the label that the classifier gives" in done.stdout
    else:
        assert re.match(r"this example needs \w+|the weights of '\S+' are not on this machine", done.stderr)


def test_every_example_is_run():
    names = re.findall(r'run\("(\w+\.py)"\)', Path(__file__).read_text())
    assert sorted(names) == sorted(path.name for path in EXAMPLES.glob("*.py"))
