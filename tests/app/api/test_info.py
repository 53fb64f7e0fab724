"""What the service says of itself."""

from importlib.metadata import version

import pytest

from anchors import SELECTORS
from app.errors import Busy
from app.index import AUTO, INDEXES, METRICS, Searcher
from app.index.approximation import Approximation
from app.service.pairing import PAIRINGS, PROTOTYPES
from app.settings import Settings
from models.comparison import MEASURES
from models.heads import ACTIVATIONS, HEADS
from models.layers import LAYERS
from models.objectives import OBJECTIVES
from models.registry import METHODS
from models.relative import CHOICES, OPTIONS
from models.similarities import SIMILARITIES


def test_info_names_what_requests_may_use(client):
    body = client.get("/v1/info").json()
    assert list(body["methods"]) == ["auto", *METHODS]
    assert (body["objectives"], body["metrics"]) == (
        list(OBJECTIVES),
        list(METRICS),
    )
    assert body["index"]["kinds"] == [AUTO, *INDEXES]


@pytest.mark.parametrize("method", METHODS)
def test_info_shows_the_options_of_every_method(client, method):
    options = client.get("/v1/info").json()["methods"][method]
    assert options == {name: vars(option) for name, option in METHODS[method].options.items()}


@pytest.mark.parametrize("name", MEASURES)
def test_info_says_what_every_measure_means(client, name):
    shown, measure = client.get("/v1/info").json()["measures"][name], MEASURES[name]
    assert (shown["low"], shown["high"], shown["meaning"]) == (measure.low, measure.high, measure.meaning)
    assert shown["higher_is_alike"] is measure.higher_is_alike


def test_info_lists_what_heads_are_made_of(client):
    heads = {"kinds": [*HEADS, "onnx"], "activations": list(ACTIVATIONS), "layers": list(LAYERS)}
    assert client.get("/v1/info").json()["heads"] == heads


@pytest.mark.parametrize("name", SIMILARITIES)
def test_info_says_what_every_similarity_means(client, name):
    shown, similarity = client.get("/v1/info").json()["similarities"][name], SIMILARITIES[name]
    assert shown == {k: getattr(similarity, k) for k in ("meaning", "higher_is_alike", "is_kernel")}


def test_info_shows_the_options_of_relative_codes(client):
    shown = client.get("/v1/info").json()["relative"]
    assert {name: tuple(shown[name]) for name in CHOICES} == CHOICES
    assert {name: shown[name] for name in OPTIONS} == {name: vars(option) for name, option in OPTIONS.items()}


def test_info_lists_selectors_and_pairings(client):
    body = client.get("/v1/info").json()
    assert (body["selectors"], body["pairings"]) == ([*SELECTORS, PROTOTYPES], list(PAIRINGS))


def test_info_lists_the_media_types(client):
    assert client.get("/v1/info").json()["media_types"] == [
        "application/json",
        "application/x-npy",
        "application/vnd.apache.arrow.stream",
    ]


def test_info_shows_the_limits_in_force(make_client):
    named = [name for name in Settings.model_fields if name.startswith("max_")]
    limits = {name: 3 + number for number, name in enumerate(named)}
    with make_client(**limits) as client:
        assert client.get("/v1/info").json()["limits"] == limits


def test_info_names_versions_and_devices(client):
    body = client.get("/v1/info").json()
    assert body["version"] == version("anchorage")
    assert set(body["versions"]) == {"python", "torch", "faiss", "onnxruntime"}
    assert body["device"]["cores"] >= 1


def test_the_process_lives(client):
    assert client.get("/livez").json() == {"status": "ok"}


def when_ready(client):
    answers = (client.get("/readyz") for _ in range(10_000))
    return next(answer for answer in answers if answer.status_code == 200)


def test_readiness_waits_for_the_indexes(client):
    ready = when_ready(client)
    assert ready.json() == {"status": "ok", "checks": {"store": "ok", "index": "ok"}, "warnings": []}


def test_an_index_that_cannot_be_built_is_a_warning_and_no_reason_not_to_be_ready(client, monkeypatch):
    def full(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("app.index.searcher.LARGE", 3)
    monkeypatch.setattr(Approximation, "built", full)
    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/c", json={"space": "s"})
    points = {"ids": [1, 2, 3], "vectors": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}
    client.put("/v1/collections/c/points", json=points)
    found = client.post("/v1/collections/c/search", json={"vectors": [[1.0, 0.0]], "k": 1}).json()
    client.app_state["services"].collections.indexing.wait()
    ready = when_ready(client)
    assert ready.json()["warnings"] == ["collection 'c': ivf_sq8 cannot be built: MemoryError: no room"]
    assert (
        client.get("/v1/collections/c").json()["index_status"]["fault"]
        == "ivf_sq8 cannot be built: MemoryError: no room"
    )
    assert found["results"][0][0]["id"] == 1


def test_a_device_with_a_full_queue_is_503_with_retry_after(client, monkeypatch, assert_problem):
    def full(*_, **__):
        raise Busy("64 searches wait for the device: try again in a moment", limit=64)

    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/c", json={"space": "s"})
    monkeypatch.setattr(Searcher, "search", full)
    answer = client.post("/v1/collections/c/search", json={"vectors": [[1.0, 0.0]]})
    assert_problem(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "1"


@pytest.fixture
def broken(client, tmp_path):
    """The client of a service whose store has been taken away."""
    when_ready(client)
    client.app_state["services"].store.close()
    (tmp_path / "store.db").unlink()
    (tmp_path / "store.db").mkdir()
    return client


def test_a_store_that_does_not_answer_is_not_ready_but_alive(broken):
    answer = broken.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert broken.get("/livez").status_code == 200


def test_a_store_that_does_not_answer_is_503_with_retry_after(broken, assert_problem):
    answer = broken.get("/v1/spaces")
    assert_problem(answer, 503, "store-unavailable")
    assert int(answer.headers["retry-after"]) >= 1
