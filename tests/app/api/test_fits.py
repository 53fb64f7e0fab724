"""Fits that are running, as a client sees them while another waits for its answer."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.anchors.conftest import Clouds
from tests.app.api.conftest import put_points, put_space

AUTO = {"source": "a", "target": "b"}


@pytest.fixture
def wide(client):
    """A client with two spaces of 40 dimensions, on whose 200 shared anchors `auto` is busy for a while."""
    pairs = Clouds(d=40, seed=4).pairs(200, noise=1.0)
    put_space(client, "a", pairs.ids, pairs.source)
    put_space(client, "b", pairs.ids, pairs.target)
    return client


@pytest.fixture
def watched():
    """watched(client, *calls): the answers of calls that run at once, and all lists of fits seen meanwhile."""

    def watched(client, *calls):
        seen = []
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = [pool.submit(call) for call in calls]
            while not all(answer.done() for answer in answers):
                seen.append(client.get("/v1/fits").json()["fits"])
                time.sleep(0.01)
        return [answer.result() for answer in answers], [fits for fits in seen if fits]

    return watched


def put(client, name="t", **fields):
    return lambda: client.put(f"/v1/translators/{name}", json={**AUTO, **fields})


def none_is_left(client):
    return client.get("/v1/fits").json() == {"fits": []}


def test_without_fits_the_list_is_empty(client):
    answer = client.get("/v1/fits")
    assert (answer.status_code, answer.json()) == (200, {"fits": []})


def test_auto_tells_how_many_candidates_it_has_tried(wide, watched):
    (answer,), seen = watched(wide, put(wide))
    assert answer.status_code == 201
    fits = [fit for (fit,) in seen]
    assert {(fit["translator"], fit["source"], fit["target"]) for fit in fits} == {("t", "a", "b")}
    tried = [fit["done"] for fit in fits if fit["stage"] == "candidates"]
    assert tried == sorted(tried)
    assert len(set(tried)) > 2
    assert all(fit["done"] <= fit["total"] for fit in fits)
    seconds = [fit["seconds"] for fit in fits]
    assert seconds == sorted(seconds)
    assert none_is_left(wide)


def test_a_first_use_is_seen_too(wide, watched):
    body = {**AUTO, "vectors": np.zeros((1, 40)).tolist()}
    (answer,), seen = watched(wide, lambda: wide.post("/v1/translate", json=body))
    assert answer.status_code == 200
    assert {fit["translator"] for fits in seen for fit in fits} == {answer.json()["translator"]}
    assert none_is_left(wide)


def test_several_fits_are_listed_by_their_beginning(wide, watched):
    answers, seen = watched(wide, put(wide, "one"), put(wide, "other", source="b", target="a"))
    assert [answer.status_code for answer in answers] == [201, 201]
    both = [fits for fits in seen if len(fits) == 2]
    assert {frozenset(fit["translator"] for fit in fits) for fits in both} == {frozenset(["one", "other"])}
    assert all(fits[0]["seconds"] >= fits[1]["seconds"] for fits in both)
    assert none_is_left(wide)


def test_a_pairing_tells_its_stages(client, watched):
    clouds = Clouds(d=40, seed=4)
    x, seeds = clouds.points(400), clouds.pairs(8, noise=1.0)
    for space, vectors, points in (("a", seeds.source, x), ("b", seeds.target, clouds.turned(x))):
        put_space(client, space, seeds.ids, vectors)
        client.put(f"/v1/collections/of-{space}", json={"space": space})
        put_points(client, f"of-{space}", [f"{space}-{row:03}" for row in range(400)], points)
    pairing = {"method": "bootstrap", "source_collection": "of-a", "target_collection": "of-b"}
    (answer,), seen = watched(client, put(client, pairing=pairing))
    assert answer.status_code == 201
    assert {"left-out seeds", "candidates"} <= {fit["stage"] for (fit,) in seen}
    assert none_is_left(client)


def test_a_fit_that_fails_leaves_nothing_behind(client, watched):
    random = np.random.default_rng(6)
    put_space(client, "a", [f"a{row}" for row in range(150)], Clouds(d=8, seed=1).points(150))
    put_space(client, "b", [f"b{row}" for row in range(150)], random.standard_normal((150, 8)))
    (answer,), seen = watched(client, put(client, pairing={"method": "unpaired"}))
    assert answer.json()["code"] == "pairing-refused"
    assert "restarts" in {fit["stage"] for (fit,) in seen}
    assert none_is_left(client)
