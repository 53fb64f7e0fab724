"""POST /v1/heads/{head}/fit and /evaluate: heads that are fitted here, and what their figures are worth."""

from base64 import b64encode
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, r2_score
from starlette.testclient import TestClient

from app.main import create_app
from app.service import fitting
from app.settings import Settings

ANCHORS, ITEMS = 120, 240
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


class Labelled(NamedTuple):
    """Row i of every array is one item; the first ANCHORS are anchors of near and far, whose widths differ."""

    ids: list[str]
    labels: list[str]
    values: np.ndarray  # (240, 2)
    near: np.ndarray  # (240, 5)
    far: np.ndarray  # (240, 7): a curved look at the same items


def made():
    random = np.random.default_rng(3)
    numbers = np.arange(ITEMS) % 3
    items = 2.5 * random.standard_normal((3, 5))[numbers] + random.standard_normal((ITEMS, 5))
    turn, look = np.linalg.qr(random.standard_normal((5, 5)))[0], random.standard_normal((5, 7)) / 4
    near, far = (x.astype(np.float32) for x in (2 * items @ turn + 1, np.tanh(items @ look)))
    ids = [f"item-{number:03}" for number in range(ITEMS)]
    return Labelled(ids, [("cat", "dog", "owl")[number] for number in numbers], items[:, :2], near, far)


@pytest.fixture(scope="module")
def items():
    return made()


@pytest.fixture(scope="module")
def by_id(items):
    """Labels of the anchors."""
    return dict(zip(items.ids[:ANCHORS], items.labels, strict=False))


@pytest.fixture(scope="module")
def fresh(items):
    """fresh(space): the items that are no anchors, with their labels."""
    return lambda space: {"labels": items.labels[ANCHORS:], "vectors": getattr(items, space)[ANCHORS:].tolist()}


def put_both(client, items):
    for name in ("near", "far"):
        vectors = getattr(items, name)[:ANCHORS]
        anchors = {"ids": items.ids[:ANCHORS], "vectors": vectors.tolist()}
        client.put(f"/v1/spaces/{name}", json={"dim": vectors.shape[1], "anchors": anchors})


@pytest.fixture
def both(client, items):
    """A client with the spaces near and far."""
    put_both(client, items)
    return client


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, items, by_id):
    """Shared: near and far with heads of near: `labels`, `values`, and `free`, which is relative."""
    app = create_app(Settings(store=f"sqlite:///{tmp_path_factory.mktemp('fitted')}/store.db"))
    with TestClient(app, headers={"Content-Type": "application/json"}) as client:
        put_both(client, items)
        values = dict(zip(by_id, items.values.tolist(), strict=False))
        relative = {"anchors": {"selector": "kmeans", "count": 30}, "after": "standardised"}
        relative |= {"similarity": ["cosine", "euclidean"]}
        bodies = {
            "labels": {"labels": by_id},
            "values": {"values": values},
            "free": {"labels": by_id, "relative": relative},
        }
        for name, body in bodies.items():
            answer = client.post(f"/v1/heads/{name}/fit", json={"space": "near", **body})
            assert answer.status_code == 201, answer.text
        yield client


def evaluate(client, head, source, **body):
    answer = client.post(f"/v1/heads/{head}/evaluate", json={"source": source, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def answers_of(client, head, source, vectors):
    body = {"source": source, "head": head, "vectors": np.asarray(vectors).tolist()}
    return client.post("/v1/stitch", json=body).json()


# Heads that are fitted here


def test_a_fitted_head_shows_its_held_out_figures(fitted):
    shown = fitted.get("/v1/heads/labels").json()
    assert (shown["kind"], shown["space"], shown["labels"]) == ("linear", "near", ["cat", "dog", "owl"])
    fit = shown["fit"]
    assert (fit["space"], fit["task"], fit["items"], fit["held_out"]) == ("near", "classification", 120, 120)
    assert fit["quality"]["accuracy"]["low"] > fit["baseline"]["accuracy"]["high"]
    assert fit["warnings"] == []


def test_the_held_out_accuracy_is_what_fresh_items_show(fitted, items, fresh):
    quality = fitted.get("/v1/heads/labels").json()["fit"]["quality"]["accuracy"]
    native = evaluate(fitted, "labels", "near", **fresh("near"))["native"]["accuracy"]
    assert quality["low"] <= native["mean"] <= quality["high"]


def test_a_fitted_regression_answers_with_values(fitted, items):
    outputs = answers_of(fitted, "values", "near", items.near[ANCHORS:])["outputs"]
    assert r2_score(items.values[ANCHORS:], outputs) > 0.99
    assert fitted.get("/v1/heads/values").json()["fit"]["task"] == "regression"


def test_a_relative_head_serves_every_space_with_its_anchors(fitted, items):
    shown = fitted.get("/v1/heads/free").json()
    assert (shown["space"], len(shown["relative"]["anchors"]), shown["dim"]) == (None, 30, 60)
    for space in ("near", "far"):
        labels = answers_of(fitted, "free", space, getattr(items, space)[ANCHORS:])["labels"]
        assert accuracy_score(items.labels[ANCHORS:], labels) > 0.6


def test_the_same_fit_is_the_same_head(both, by_id):
    first, again = (both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_a_fit_on_given_vectors_is_that_on_the_same_anchors(both, items, by_id):
    by_anchor = both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id}).json()
    given = {"labels": items.labels[:ANCHORS], "vectors": items.near[:ANCHORS].tolist()}
    assert both.post("/v1/heads/h/fit", json={"space": "near", **given}).json() == by_anchor


def test_values_may_be_binary(both, items):
    values = items.values[:ANCHORS].astype("<f8")
    body = {"base64": b64encode(values.tobytes()).decode(), "dtype": "<f8", "shape": list(values.shape)}
    given = {"space": "near", "vectors": items.near[:ANCHORS].tolist()}
    first = both.post("/v1/heads/h/fit", json={**given, "values": body})
    again = both.post("/v1/heads/h/fit", json={**given, "values": values.tolist()})
    assert (first.status_code, again.status_code, again.json()["version"]) == (201, 200, 1)


def test_a_value_a_vector_makes_one_output(both, items):
    body = {"space": "near", "values": dict(zip(items.ids[:ANCHORS], items.values[:, 0].tolist(), strict=False))}
    assert both.post("/v1/heads/h/fit", json=body).json()["shape"] == [1]


def test_if_match_guards_a_fit(both, by_id, assert_problem):
    body = {"space": "near", "labels": by_id}
    etag = both.post("/v1/heads/h/fit", json=body).headers["etag"]
    answer = both.post("/v1/heads/h/fit", json={**body, "space": "far"}, headers={"If-Match": '"0-0"'})
    assert_problem(answer, 412, "precondition-failed")
    assert both.post("/v1/heads/h/fit", json=body, headers={"If-Match": etag}).status_code == 200


def test_a_head_that_is_put_over_a_fitted_one_has_no_figures(both, by_id):
    both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id})
    evaluate(both, "h", "near", labels=by_id)
    shown = both.put("/v1/heads/h", json={"kind": "linear", "space": "near", "weight": [[1] * 5]}).json()
    assert (shown["fit"], shown["evaluations"]) == (None, {})


# Figures


def test_native_figures_are_scikit_learns_of_the_answers(fitted, items, fresh):
    figures = evaluate(fitted, "labels", "near", **fresh("near"))
    labels = answers_of(fitted, "labels", "near", items.near[ANCHORS:])["labels"]
    assert figures["native"]["accuracy"]["mean"] == pytest.approx(accuracy_score(items.labels[ANCHORS:], labels))
    expected = f1_score(items.labels[ANCHORS:], labels, average="macro")
    assert figures["native"]["macro_f1"]["mean"] == pytest.approx(expected)
    assert (figures["stitched"], figures["unstitched"], figures["relative"]) == (None, None, None)
    assert (figures["path"], figures["cross_fitted"], figures["warnings"]) == ([], 0, [])


def test_stitched_figures_are_scikit_learns_of_the_answers(fitted, items, fresh):
    figures = evaluate(fitted, "labels", "far", **fresh("far"))
    labels = answers_of(fitted, "labels", "far", items.far[ANCHORS:])["labels"]
    assert figures["stitched"]["accuracy"]["mean"] == pytest.approx(accuracy_score(items.labels[ANCHORS:], labels))
    assert (figures["native"], figures["relative"], figures["retention"]) == (None, None, None)
    assert figures["path"] == ["far-to-near-head-labels"]


def test_unstitched_vectors_are_cut_or_padded(fitted, items, fresh):
    figures = evaluate(fitted, "labels", "far", **fresh("far"))
    labels = answers_of(fitted, "labels", "near", items.far[ANCHORS:, :5])["labels"]
    assert figures["unstitched"]["accuracy"]["mean"] == pytest.approx(
        accuracy_score(items.labels[ANCHORS:], labels)
    )
    assert figures["stitched"]["accuracy"]["low"] > figures["unstitched"]["accuracy"]["high"]


def test_figures_of_values_are_scikit_learns(fitted, items):
    vectors, truth = items.far[ANCHORS:], items.values[ANCHORS:]
    figures = evaluate(fitted, "values", "far", values=truth.tolist(), vectors=vectors.tolist())["stitched"]
    outputs = answers_of(fitted, "values", "far", vectors)["outputs"]
    assert figures["r2"]["mean"] == pytest.approx(
        r2_score(truth, outputs, multioutput="variance_weighted"), rel=1e-4
    )
    assert figures["mse"]["mean"] == pytest.approx(mean_squared_error(truth, outputs), rel=1e-4)


def test_a_relative_head_is_native_where_it_was_fitted_and_relative_elsewhere(fitted, items, fresh):
    near, far = (evaluate(fitted, "free", space, **fresh(space)) for space in ("near", "far"))
    labels = answers_of(fitted, "free", "far", items.far[ANCHORS:])["labels"]
    assert far["relative"]["accuracy"]["mean"] == pytest.approx(accuracy_score(items.labels[ANCHORS:], labels))
    assert (near["native"] is None, near["relative"], far["native"], far["stitched"]) == (False, None, None, None)


def test_items_with_ids_that_are_anchors_of_the_heads_space_have_native_figures(fitted, items):
    given = {"labels": items.labels[:60], "vectors": items.far[:60].tolist(), "ids": items.ids[:60]}
    figures = evaluate(fitted, "labels", "far", **given)
    native = evaluate(fitted, "labels", "near", labels=dict(zip(items.ids[:60], items.labels, strict=False)))
    assert figures["native"] == native["native"]
    share = figures["stitched"]["accuracy"]["mean"] / figures["native"]["accuracy"]["mean"]
    assert figures["retention"] == pytest.approx(share)


@pytest.mark.parametrize(("head", "by"), [("labels", "stitched"), ("free", "relative")])
def test_native_vectors_of_fresh_items_show_what_is_lost(head, by, fitted, items, fresh):
    figures = evaluate(fitted, head, "far", **fresh("far"), native={"vectors": items.near[ANCHORS:].tolist()})
    assert figures["native"] == evaluate(fitted, head, "near", **fresh("near"))["native"]
    share = figures[by]["accuracy"]["mean"] / figures["native"]["accuracy"]["mean"]
    assert figures["retention"] == pytest.approx(share)
    assert figures["warnings"] == []


def test_without_native_vectors_an_evaluation_says_what_is_missing(fitted, fresh):
    figures = evaluate(fitted, "labels", "far", **fresh("far"))
    assert (figures["native"], figures["retention"]) == (None, None)
    (warning,) = figures["warnings"]
    assert "'near' has no anchors for 120 of the 120 items, name such as it has by `ids`" in warning


def test_a_relative_head_outlives_the_space_that_it_was_fitted_in(both, items, by_id, fresh):
    anchors = {"selector": "kmeans", "count": 30}
    both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id, "relative": {"anchors": anchors}})
    before = evaluate(both, "h", "far", **fresh("far"))
    assert both.post("/v1/spaces/near/anchors/delete", json={"ids": items.ids[:ANCHORS]}).status_code == 200
    assert both.delete("/v1/spaces/near").status_code == 200
    after = evaluate(both, "h", "far", **fresh("far"))
    assert after["relative"] == before["relative"]
    assert after["native"] is None
    assert after["warnings"] == ["no native figures: there is no space 'near' any more"]


def test_every_figure_lies_in_its_interval(fitted, by_id):
    figures = evaluate(fitted, "labels", "far", labels=by_id)
    for name in ("native", "stitched", "unstitched"):
        for estimate in figures[name].values():
            assert 0 <= estimate["low"] <= estimate["mean"] <= estimate["high"] <= 1


# What figures are worth


def test_anchors_are_translated_by_maps_that_did_not_see_them(both, items):
    """With as many dimensions as anchors, ridge without penalty repeats what it has seen."""
    random = np.random.default_rng(0)
    wide, truth = random.standard_normal((30, 40)), items.values[:30]
    both.put("/v1/spaces/wide", json={"dim": 40, "anchors": {"ids": items.ids[:30], "vectors": wide.tolist()}})
    both.put("/v1/heads/h", json={"kind": "linear", "space": "near", "weight": np.eye(2, 5).tolist()})
    options = {"method": "ridge", "options": {"penalty": 1e-8}, "objective": "reconstruction"}
    both.put("/v1/translators/t", json={"source": "wide", "target": "near", **options})
    truth = dict(zip(items.ids[:30], items.near[:30, :2].tolist(), strict=True))
    figures = evaluate(both, "h", "wide", values=truth)
    seen = answers_of(both, "h", "wide", wide)["outputs"]
    assert r2_score(items.near[:30, :2], seen) > 0.99
    assert figures["stitched"]["r2"]["mean"] < 0.5
    assert (figures["cross_fitted"], figures["warnings"]) == (30, [])


def test_cross_fitted_figures_are_what_fresh_items_show(fitted, by_id, fresh):
    crossed = evaluate(fitted, "labels", "far", labels=by_id)
    there = evaluate(fitted, "labels", "far", **fresh("far"))["stitched"]["accuracy"]
    assert crossed["cross_fitted"] == ANCHORS
    assert crossed["stitched"]["accuracy"]["low"] <= there["mean"] <= crossed["stitched"]["accuracy"]["high"]


@pytest.mark.parametrize("ids", [None, [f"mine-{number}" for number in range(ANCHORS)]])
def test_an_anchor_is_known_by_its_vector_too(ids, fitted, items, by_id):
    given = {"labels": items.labels[:ANCHORS], "vectors": items.far[:ANCHORS].tolist()}
    figures = evaluate(fitted, "labels", "far", **given, **({"ids": ids} if ids else {}))
    by_name = evaluate(fitted, "labels", "far", labels=by_id)
    assert (figures["cross_fitted"], figures["stitched"]) == (ANCHORS, by_name["stitched"])


def test_an_anchor_is_known_by_its_native_vector_too(fitted, items, by_id):
    """Its vector may have been computed anew, and differ in the last bits."""
    given = {"labels": items.labels[:ANCHORS], "vectors": (items.far[:ANCHORS] * (1 + 1e-6)).tolist()}
    figures = evaluate(fitted, "labels", "far", **given, native={"vectors": items.near[:ANCHORS].tolist()})
    right = evaluate(fitted, "labels", "far", labels=by_id)
    assert (figures["cross_fitted"], figures["stitched"]) == (ANCHORS, right["stitched"])


def test_an_anchor_that_is_known_by_its_vector_has_native_figures(fitted, items, by_id):
    figures = evaluate(fitted, "labels", "far", labels=items.labels[:40], vectors=items.far[:40].tolist())
    named = evaluate(fitted, "labels", "far", labels=dict(list(by_id.items())[:40]))
    assert figures["native"] == named["native"]
    assert not any("no native figures" in warning for warning in figures["warnings"])


def test_there_is_no_retention_of_what_is_not_known_natively(fitted, items, fresh):
    native = {"vectors": items.near[ANCHORS:][::-1].tolist()}  # those of other items
    figures = evaluate(fitted, "labels", "far", **fresh("far"), native=native)
    assert figures["native"]["accuracy"]["mean"] > 0
    assert figures["retention"] is None
    assert any("no retention: natively" in warning for warning in figures["warnings"])


def test_a_stale_translation_is_not_crossed(both, items, by_id):
    both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id})
    way = {"source": "far", "target": "near", "method": "ridge", "objective": "head", "head": "h"}
    both.put("/v1/translators/t", json=way)
    both.post("/v1/spaces/far/anchors/delete", json={"ids": items.ids[:40]})
    given = {"labels": items.labels[:60], "vectors": items.far[:60].tolist(), "ids": items.ids[:60]}
    figures = evaluate(both, "h", "far", **given)
    assert figures["cross_fitted"] == 0
    assert any("20 of the 60 items are anchors that the tr" in warning for warning in figures["warnings"])
    assert any("may count as others, fit it anew" in warning for warning in figures["warnings"])


def test_some_items_may_be_anchors_and_others_not(fitted, items):
    rows = slice(ANCHORS - 20, ANCHORS + 20)
    given = {"labels": items.labels[rows], "vectors": items.far[rows].tolist(), "ids": items.ids[rows]}
    figures = evaluate(fitted, "labels", "far", **given)
    assert (figures["items"], figures["cross_fitted"], figures["native"]) == (40, 20, None)
    assert any("'near' has no anchors for 20 of the 40 items" in warning for warning in figures["warnings"])


def test_anchors_that_cannot_be_cross_fitted_are_a_warning(fitted, items, by_id):
    chosen = {"selector": "kmeans", "count": 50}
    body = {"source": "far", "target": "near", "method": "ridge", "anchors": chosen}
    fitted.put("/v1/translators/chosen", json=body)
    figures = evaluate(fitted, "labels", "far", labels=by_id, translator="chosen")
    fitted.delete("/v1/translators/chosen")
    assert figures["cross_fitted"] == 0
    assert any(
        "120 of the 120 items are anchors that the translation was fitted on" in w for w in figures["warnings"]
    )


def seen(figures):
    """How many items the answer says the head was fitted on."""
    told = [warning for warning in figures["warnings"] if "that the head was fitted on" in warning]
    return int(told[0].split()[0]) if told else 0


@pytest.mark.parametrize(("head", "source"), [("labels", "near"), ("labels", "far"), ("free", "far")])
def test_items_that_a_head_was_fitted_on_are_a_warning(head, source, fitted, by_id):
    figures = evaluate(fitted, head, source, labels=by_id)
    assert seen(figures) == 120
    assert any("30 of the 120 items are anchors of the head's" in w for w in figures["warnings"]) is (
        head == "free"
    )


@pytest.mark.parametrize("source", ["near", "far"])
@pytest.mark.parametrize("ids", [True, False])
def test_items_that_a_head_was_fitted_on_are_known_among_others(source, ids, fitted, items):
    """By id, or as the vector of the anchor."""
    rows = slice(ANCHORS - 20, ANCHORS + 20)
    given = {"labels": items.labels[rows], "vectors": getattr(items, source)[rows].tolist()}
    figures = evaluate(fitted, "labels", source, **given, **({"ids": items.ids[rows]} if ids else {}))
    assert (figures["items"], seen(figures)) == (40, 20)


def test_items_that_are_no_anchors_are_known_by_their_vectors_and_ids(both, items):
    rows, others = slice(ANCHORS, ANCHORS + 50), slice(ANCHORS + 30, ANCHORS + 80)
    given = {name: getattr(items, name)[rows] for name in ("labels", "ids")}
    both.post("/v1/heads/h/fit", json={"space": "near", "vectors": items.near[rows].tolist(), **given})
    given = {"labels": items.labels[others], "vectors": items.near[others].tolist()}
    assert seen(evaluate(both, "h", "near", **given)) == 20
    given = {"labels": items.labels[others], "vectors": items.far[others].tolist()}
    assert seen(evaluate(both, "h", "far", **given)) == 0  # nothing says whose vectors these are
    assert seen(evaluate(both, "h", "far", **given, ids=items.ids[others])) == 20
    assert seen(evaluate(both, "h", "far", **given, native={"vectors": items.near[others].tolist()})) == 20


def test_fresh_items_are_not_held_to_be_seen(fitted, fresh):
    assert [seen(evaluate(fitted, "labels", space, **fresh(space))) for space in ("near", "far")] == [0, 0]


def test_an_evaluation_does_not_cost_anybody_the_race(both, items, by_id, fresh):
    body = {"space": "near", "labels": by_id}
    etag = both.post("/v1/heads/h/fit", json=body).headers["etag"]
    evaluate(both, "h", "near", **fresh("near"))
    assert both.get("/v1/heads/h").headers["etag"] == etag
    changed = {"space": "near", "labels": dict(list(by_id.items())[:60])}
    answer = both.post("/v1/heads/h/fit", json=changed, headers={"If-Match": etag})
    assert (answer.status_code, answer.json()["version"], answer.json()["evaluations"]) == (200, 2, {})


def test_few_items_are_a_warning(fitted, items):
    given = {"labels": items.labels[-9:], "vectors": items.near[-9:].tolist()}
    assert evaluate(fitted, "labels", "near", **given)["warnings"] == ["only 9 items: the intervals are rough"]


def test_a_stale_translation_is_a_warning(both, items, by_id, fresh):
    both.put("/v1/heads/h", json={"kind": "linear", "space": "near", "weight": np.eye(1, 5).tolist()})
    both.put(
        "/v1/translators/t",
        json={"source": "far", "target": "near", "method": "ridge", "objective": "head", "head": "h"},
    )
    both.put("/v1/spaces/far/anchors", json={"ids": ["item-000"], "vectors": [[1] * 7]})
    figures = evaluate(both, "h", "far", values=[1, 2, 3], vectors=items.far[:3].tolist())
    assert any("have changed since" in warning for warning in figures["warnings"])


# Kept with the head


def test_the_last_evaluation_of_every_space_is_kept_with_the_head(both, items, by_id, fresh):
    both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id})
    way = {"source": "far", "target": "near", "method": "ridge", "objective": "head", "head": "h"}
    both.put("/v1/translators/t", json=way)
    first = evaluate(both, "h", "near", labels=by_id)
    last = evaluate(both, "h", "near", **fresh("near"))
    far = evaluate(both, "h", "far", **fresh("far"))
    shown = both.get("/v1/heads/h").json()
    assert shown["evaluations"] == {"near": last, "far": far}
    assert first != last
    assert shown["version"] == 1
    assert both.post("/v1/heads/h/fit", json={"space": "near", "labels": by_id}).json() == shown


# What is refused


@pytest.fixture
def refused(fitted, items, assert_problem):
    """refused(code, head, **fields): the problem of an evaluation on near, so changed."""

    def post(code, head="labels", route="evaluate", status=422, **fields):
        place = {"source": "near"} if route == "evaluate" else {"space": "near"}
        good = {**place, "labels": items.labels[:40], "vectors": items.near[:40].tolist()}
        body = {name: value for name, value in {**good, **fields}.items() if value is not None}
        return assert_problem(fitted.post(f"/v1/heads/{head}/{route}", json=body), status, code)

    return post


@pytest.mark.parametrize("route", ["evaluate", "fit"])
@pytest.mark.parametrize(
    "fields",
    [
        {"labels": None},
        {"labels": None, "values": None, "vectors": None},
        {"labels": []},
        {"labels": {}, "vectors": None},
        {"labels": ["cat"] * 39},
        {"labels": [None] * 40},
        {"labels": [["cat"]] * 40},
        {"labels": {"item-000": "cat"}},
        {"vectors": None},
        {"values": [1.0] * 40},
        {"labels": None, "values": [1.0] * 39},
        {"labels": None, "values": ["one"] * 40},
        {"labels": None, "values": [[1], [1, 2]] * 20},
        {"labels": None, "values": {"item-000": "one"}, "vectors": None},
        {"labels": None, "values": {}, "vectors": None},
        {"ids": ["twice"] * 40},
        {"ids": ["one"]},
        {"labels": {"item-000": "cat", "item-001": "dog"}, "vectors": None, "ids": ["item-000", "item-001"]},
        {"labels": {"nobody": "cat", "item-001": "dog"}, "vectors": None},
        {"labels": None, "values": {"base64": "AADAfw==", "shape": [1]}, "vectors": [[1, 2, 3, 4, 5]]},
    ],
)
def test_items_without_a_truth_each_are_422(route, fields, refused):
    refused("invalid-input", route=route, **fields)


def test_labels_that_the_head_does_not_have_are_422_by_name(refused):
    problem = refused("invalid-input", labels=["cat", "fox"] * 20)
    assert (problem["expected"], problem["unknown"]) == (["cat", "dog", "owl"], ["fox"])


@pytest.mark.parametrize(("head", "wanted"), [("labels", "labels"), ("values", "values")])
def test_labels_for_values_and_values_for_labels_are_422(head, wanted, refused):
    truth = {"labels": None, "values": [1.0] * 40} if wanted == "labels" else {}
    assert refused("invalid-input", head, **truth)["expected"] == wanted


def test_values_of_another_shape_are_422(refused):
    problem = refused("invalid-input", "values", labels=None, values=[[1, 2, 3]] * 40)
    assert (problem["expected"], problem["got"]) == ([2], [3])


def test_one_item_is_too_few_for_an_evaluation(refused):
    refused("invalid-input", labels=["cat"], vectors=[[1, 2, 3, 4, 5]])


def test_too_many_items_for_an_evaluation_are_422(refused):
    problem = refused("over-limit", labels=["cat"] * 10_001, vectors=[[1, 2, 3, 4, 5]] * 10_001)
    assert (problem["limit"], problem["got"]) == (10_000, 10_001)


def test_vectors_of_another_width_are_422(refused):
    refused("wrong-dimension", vectors=[[1, 2, 3]] * 40)


NATIVE = {"source": "far", "vectors": [[0.5] * 7] * 40}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({**NATIVE, "native": {"vectors": [[1, 2, 3, 4, 5]] * 39}}, "`native` has 39 vectors for 40 items"),
        ({**NATIVE, "native": [[1, 2, 3, 4, 5]] * 40}, "/native"),
        ({"native": {"vectors": [[1, 2, 3, 4, 5]] * 40}}, "`vectors` are already: leave `native` out"),
    ],
)
def test_native_vectors_that_cannot_be_are_422(fields, says, refused):
    assert says in refused("invalid-input", **fields)["detail"]


@pytest.mark.parametrize("bad", [["one"] * 5, [1e39] * 5, [1e18] * 5, [1, 2, 3]])
def test_a_native_row_that_is_no_vector_is_422_with_its_number(bad, refused):
    rows = [[1, 2, 3, 4, 5]] * 39
    assert refused("invalid-vectors", **NATIVE, native={"vectors": [*rows, bad]})["row"] == 39


def test_native_vectors_of_another_width_are_422(refused):
    problem = refused("wrong-dimension", **NATIVE, native={"vectors": [[1, 2, 3]] * 40})
    assert problem["expected"]["space"] == "near"


def test_a_head_without_a_space_has_no_native_vectors(both, items, fresh, assert_problem):
    codes = {"anchors": items.ids[:5], "similarity": "cosine"}
    body = {"kind": "linear", "relative": codes, "weight": [[1] * 5] * 3, "labels": ["cat", "dog", "owl"]}
    assert both.put("/v1/heads/bare", json=body).status_code == 201
    given = {"source": "far", **fresh("far"), "native": {"vectors": [[1] * 5] * 120}}
    answer = both.post("/v1/heads/bare/evaluate", json=given)
    assert "has no space of its own: leave `native` out" in assert_problem(answer, 422, "invalid-input")["detail"]


def test_an_evaluation_of_no_head_is_404(refused):
    refused("not-found", "nothing", status=404)


def test_a_fit_of_a_single_label_is_422(refused):
    refused("invalid-input", route="fit", labels=["cat"] * 40)


def test_a_fit_of_too_many_labels_is_422(refused):
    labels = [str(number) for number in range(1001)]
    assert refused("over-limit", route="fit", labels=labels, vectors=[[1, 2, 3, 4, 5]] * 1001)["limit"] == 1000


def test_a_fit_of_too_much_is_422(refused, monkeypatch):
    monkeypatch.setattr(fitting, "MOST_NUMBERS", 399)
    body = {"labels": ["cat", "dog"] * 20, "vectors": [[1, 2, 3, 4, 5]] * 40}
    assert refused("over-limit", route="fit", **body)["got"] == 400


def test_a_fit_of_images_is_422(refused):
    refused("invalid-input", route="fit", labels=None, values=[[[1, 2]]] * 40)


def test_a_fit_on_one_item_is_422(refused):
    refused("too-few-anchors", route="fit", labels=None, values=[1.0], vectors=[[1, 2, 3, 4, 5]])


def test_a_fit_on_codes_of_anchors_that_are_not_there_is_422(refused):
    problem = refused("invalid-input", route="fit", relative={"anchors": ["item-000", "nobody"]})
    assert problem["unknown"] == ["nobody"]


def test_nothing_that_was_refused_is_there(fitted):
    assert [head["name"] for head in fitted.get("/v1/heads").json()["heads"]] == ["free", "labels", "values"]


def test_more_answers_than_one_call_may_have_are_422(make_client, items, assert_problem):
    with make_client(max_outputs=10) as client:
        client.put("/v1/spaces/near", json={"dim": 5})
        client.put("/v1/heads/h", json={"kind": "linear", "space": "near", "weight": np.eye(3, 5).tolist()})
        body = {"source": "near", "vectors": items.near[:4].tolist(), "values": np.ones((4, 3)).tolist()}
        problem = assert_problem(client.post("/v1/heads/h/evaluate", json=body), 422, "over-limit")
        assert (problem["limit"], problem["got"]) == (10, 12)
