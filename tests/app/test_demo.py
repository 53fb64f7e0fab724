"""The demonstration: its data, its encoders, its figures, and a whole run."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import torch

from app.demo import images, text
from app.demo.measure import Quality, fitted_to, quality, reciprocal_rank, share_alike
from app.demo.server import Client, ServerFailed, packed, running_server, wait_until_ready

NONSENSE = ["", "xyzzy qqqq", "the of and", "%%% ---", "日本"]
SECONDS = 400  # tests may share their cores with others


# text


@pytest.fixture(scope="module")
def sentences() -> list[text.Sentence]:
    return text.sentences()


def test_there_are_thousands_of_sentences(sentences: list[text.Sentence]) -> None:
    assert len(sentences) > 3000


def test_sentences_are_distinct(sentences: list[text.Sentence]) -> None:
    assert len({text.fingerprint(sentence.text) for sentence in sentences}) == len(sentences)


def test_sentences_are_the_same_every_time(sentences: list[text.Sentence]) -> None:
    assert text.sentences() == sentences


def test_sentences_are_whole(sentences: list[text.Sentence]) -> None:
    assert [one.text for one in sentences if not re.fullmatch(r"[A-Z].*[.!?]", one.text)] == []


def test_a_sentence_knows_its_module(sentences: list[text.Sentence]) -> None:
    assert {"argparse", "pathlib", "decimal", "email"} <= {sentence.module for sentence in sentences}


@pytest.mark.parametrize(
    ("path", "module"),
    [("os.py", "os"), ("json/decoder.py", "json"), ("_pydecimal.py", "decimal"), ("_strptime.py", "strptime")],
)
def test_the_module_of_a_file(path: str, module: str) -> None:
    assert text.module_of(text.STDLIB / path) == module


@pytest.mark.parametrize(
    ("prose", "reads"),
    [
        ("Return the number of words in this text.", True),
        ("Short one.", False),
        ("return the number of words in this text.", False),
        ("Return the number of words in this text", False),
        ("Use >>> f(x) to see how the function works.", False),
        ("Use {a: [b, <c>]} = {d} + @e; | ~f ^ g * h % i.", False),
    ],
)
def test_what_reads_as_prose(prose: str, reads: bool) -> None:
    assert text.reads_as_prose(prose) is reads


@pytest.fixture(scope="module")
def texts(sentences: list[text.Sentence]) -> list[str]:
    return [sentence.text for sentence in sentences[:400]]


@pytest.fixture(scope="module", params=text.ENCODERS)
def encoder(request: pytest.FixtureRequest, texts: list[str]) -> Any:
    return text.ENCODERS[request.param]().fit(texts), text.ENCODERS[request.param]().fit(texts)


def test_text_is_encoded_in_rows_of_float32(encoder: Any, texts: list[str]) -> None:
    vectors = encoder[0].encode(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), encoder[0].width), np.float32)


def test_text_is_encoded_in_unit_rows(encoder: Any, texts: list[str]) -> None:
    assert np.linalg.norm(encoder[0].encode(texts), axis=1) == pytest.approx(1, abs=1e-5)


def test_nonsense_is_encoded_in_unit_rows(encoder: Any) -> None:
    assert np.linalg.norm(encoder[0].encode(NONSENSE), axis=1) == pytest.approx(1, abs=1e-5)


def test_text_is_encoded_alike_by_an_encoder_fitted_again(encoder: Any, texts: list[str]) -> None:
    first, second = encoder
    assert np.array_equal(first.encode(texts), second.encode(texts))


def test_a_text_alone_is_encoded_as_among_others(encoder: Any, texts: list[str]) -> None:
    assert encoder[0].encode(texts[5:6])[0] == pytest.approx(encoder[0].encode(texts)[5], abs=1e-6)


def test_text_encoders_have_widths_of_their_own() -> None:
    assert len({make().width for make in text.ENCODERS.values()}) == len(text.ENCODERS)


# images


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    return images.digits()


def test_digits_are_rows_of_float32(digits: tuple[Any, Any]) -> None:
    assert (digits[0].shape, digits[0].dtype) == ((1797, 64), np.float32)


def test_digits_lie_between_0_and_1(digits: tuple[Any, Any]) -> None:
    assert (digits[0].min(), digits[0].max()) == (0, 1)


def test_every_digit_is_there(digits: tuple[Any, Any]) -> None:
    assert np.unique(digits[1]).tolist() == list(range(10))


@pytest.fixture(params=images.ENCODERS)
def briefly(request: pytest.FixtureRequest) -> Any:
    """Makes the encoder, to be trained for two epochs."""

    def make() -> images.Encoder:
        encoder = images.ENCODERS[request.param]()
        encoder.epochs = 2
        return encoder

    return make


def test_an_image_encoder_gives_rows_of_its_width(briefly: Any, digits: tuple[Any, Any]) -> None:
    encoder = briefly().fit(digits[0][:100], digits[1][:100])
    codes = encoder.encode(digits[0])
    assert (codes.shape, codes.dtype) == ((1797, encoder.width), np.float32)


def test_an_image_encoder_trained_again_is_the_same(briefly: Any, digits: tuple[Any, Any]) -> None:
    first, second = (briefly().fit(digits[0][:100], digits[1][:100]).encode(digits[0]) for _ in range(2))
    assert np.array_equal(first, second)


def test_training_leaves_the_seed_of_torch_alone(briefly: Any, digits: tuple[Any, Any]) -> None:
    before = torch.get_rng_state()
    briefly().fit(digits[0][:100], digits[1][:100])
    assert torch.equal(torch.get_rng_state(), before)


# figures


@pytest.mark.parametrize(
    ("width", "expected"), [(2, [[1, 2], [4, 5]]), (3, [[1, 2, 3], [4, 5, 6]]), (4, [[1, 2, 3, 0], [4, 5, 6, 0]])]
)
def test_a_naive_swap_cuts_or_pads(width: int, expected: list[list[int]]) -> None:
    assert fitted_to(np.array([[1, 2, 3], [4, 5, 6]], np.float32), width).tolist() == expected


def hits(*found: str) -> list[dict[str, Any]]:
    """a1: the item a1, labelled a; each less near than the one before."""
    return [{"id": id_, "score": -n, "payload": {"label": id_[0]}} for n, id_ in enumerate(found)]


@pytest.mark.parametrize(
    ("found", "rank"),
    [(["a1", "b1"], 1), (["b1", "a1"], 1 / 2), (["b1", "b2", "a1"], 1 / 3), (["b1"], 0), ([], 0)],
)
def test_reciprocal_rank(found: list[str], rank: float) -> None:
    assert reciprocal_rank(hits(*found), "a1") == rank


@pytest.mark.parametrize("found", [["a1", "b1", "b2"], ["b1", "b2", "a1"]])
def test_what_is_as_near_as_the_item_counts_half(found: list[str]) -> None:
    assert reciprocal_rank([{**hit, "score": 1.0} for hit in hits(*found)], "a1") == 1 / 2


@pytest.mark.parametrize(
    ("found", "share"), [(["a1", "a2"], 1), (["a2", "b1"], 1 / 2), (["b1", "b2", "a2", "a1"], 1 / 3), (["b1"], 0)]
)
def test_the_share_alike_does_not_count_the_item_itself(found: list[str], share: float) -> None:
    assert share_alike(hits(*found), "a1", "a") == pytest.approx(share)


def test_the_share_alike_counts_ten_others() -> None:
    assert share_alike(hits("a1", *(f"a{n}" for n in range(2, 7)), *(f"b{n}" for n in range(9))), "a1", "a") == 0.5


def test_an_item_beyond_ten_is_not_found() -> None:
    found = hits(*(f"b{n}" for n in range(10)), "a1")
    assert quality([found], ["a1"], ["a"]).own == 0


def test_quality_is_the_mean_over_the_queries() -> None:
    assert quality([hits("a1", "a2"), hits("b1", "a2")], ["a1", "a2"], ["a", "a"]) == Quality(0.75, 0.5)


# the server it starts


class Failed(Exception):
    """Thrown where the server is used."""


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen of a server whose user failed."""
    folder, seen = tmp_path_factory.mktemp("demo"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("ANCHORAGE_PORT", "of nobody")
        with pytest.raises(Failed), running_server() as client:  # noqa: PT012
            seen |= {"url": client.http.base_url, "folders": len(list(folder.iterdir()))}
            seen |= used(client)
            raise Failed
    seen |= {"left": list(folder.iterdir()), "closed": client.http.is_closed}
    client.http.close()
    return seen


def used(client: Client) -> dict[str, Any]:
    vectors = np.eye(4, dtype=np.float32)
    client.put_space("a", list("wxyz"), vectors)
    client.put_collection("a", "a", list("wxyz"), vectors, [{"label": label} for label in "abab"])
    with pytest.raises(RuntimeError, match=r"GET /v1/spaces/b: .*not-found"):
        client.ask("GET", "/v1/spaces/b")
    return {"found": client.search("a", vectors, 1), "ready": client.ask("GET", "/readyz")}


def test_the_server_of_the_demo_serves(visit: dict[str, Any]) -> None:
    assert visit["ready"]["status"] == "ok"


def test_the_server_of_the_demo_finds(visit: dict[str, Any]) -> None:
    expected = [(id_, {"label": label}) for id_, label in zip("wxyz", "abab", strict=True)]
    assert [(found["id"], found["payload"]) for (found,) in visit["found"]] == expected


def test_the_server_of_the_demo_is_stopped(visit: dict[str, Any]) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{visit['url']}/livez", trust_env=False)


def test_the_client_of_the_demo_is_closed(visit: dict[str, Any]) -> None:
    assert visit["closed"]


def test_the_store_of_the_demo_is_gone(visit: dict[str, Any]) -> None:
    assert (visit["folders"], visit["left"]) == (1, [])


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("no room left")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
        with pytest.raises(ServerFailed, match="no room left"):
            wait_until_ready("http://127.0.0.1:9", gone, log)


def test_packed_vectors_say_their_shape() -> None:
    assert packed(np.zeros((2, 1), np.float32)) == {"base64": "AAAAAAAAAAA=", "dtype": "<f4", "shape": [2, 1]}


# a whole run


TEXT_PAIRS = {
    *("words → chars", "words → cooccurrence", "chars → words", "chars → cooccurrence"),
    *("cooccurrence → words", "cooccurrence → chars"),
}
PAIRS = TEXT_PAIRS | {"perceptron → convolution", "convolution → perceptron"}
ROW = re.compile(r"^ *(\w+ → \w+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)% *$", re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "app.cli", "demo"]
    # one thread: its cores are shared with other tests
    places = {**os.environ, "COLUMNS": "120", "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    places = {k: v for k, v in places.items() if not k.startswith("ANCHORAGE_")}
    return subprocess.run(
        command, cwd=folder, env=places, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.fixture(scope="module")
def tables(demo: subprocess.CompletedProcess[str]) -> list[dict[str, tuple[float, ...]]]:
    """Of each measure, by pair: native, translated, untranslated."""
    _, *pages = re.split(r"queries → collection", demo.stdout)
    return [{pair: tuple(map(float, figures)) for pair, *figures, _ in ROW.findall(page)} for page in pages]


def test_the_demo_exits_0(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, "")


def test_the_demo_shows_two_tables_of_every_pair(tables: list[dict[str, tuple[float, ...]]]) -> None:
    assert [set(table) for table in tables] == [PAIRS, PAIRS]


@pytest.mark.parametrize("pair", sorted(PAIRS))
@pytest.mark.parametrize(("number", "times"), [(0, 10), (1, 2)], ids=["itself", "alike"])
def test_translated_beats_untranslated(
    tables: list[dict[str, tuple[float, ...]]], pair: str, number: int, times: int
) -> None:
    _, translated, untranslated = tables[number][pair]
    assert translated > times * untranslated


@pytest.mark.parametrize("question", text.QUESTIONS)
def test_the_demo_asks_every_question(demo: subprocess.CompletedProcess[str], question: str) -> None:
    assert demo.stdout.count(f"  {question}\n") == 2


def test_the_demo_shows_hits_both_ways(demo: subprocess.CompletedProcess[str]) -> None:
    shown = re.findall(r"^    (translated|untranslated) +-?\d\.\d\d  [\w.]+: \S", demo.stdout, re.MULTILINE)
    assert shown.count("translated") == shown.count("untranslated") == 2 * 3 * len(text.QUESTIONS)


def test_the_demo_shows_the_report(demo: subprocess.CompletedProcess[str]) -> None:
    assert len(re.findall(r"auto chose \w+ on (?:600|59\d) anchors", demo.stdout)) >= 1


def test_the_demo_leaves_nothing_behind(
    demo: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = next(tmp_path_factory.getbasetemp().glob("run*"))
    assert list(folder.iterdir()) == []
