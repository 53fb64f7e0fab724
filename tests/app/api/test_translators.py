"""The life of a translator, and what its report says."""

import numpy as np
import pytest

from models import residual
from models.objectives import Retrieval
from models.registry import METHODS

FIGURES = {"top1", "mrr", "recall_at_10", "overlap_at_10", "r2", "cosine"}
AB = {"source": "a", "target": "b"}
OPTIONS = [(name, option) for name, method in METHODS.items() for option in method.options]


def put(client, name="t", **fields):
    return client.put(f"/v1/translators/{name}", json={**AB, **fields})


@pytest.fixture
def square(client, data, monkeypatch):
    """The client, with two spaces of 4 dimensions: all methods go from x to y. A network is trained a little."""
    monkeypatch.setattr(residual, "STEPS", 100)
    for name, turn in (("x", np.eye(4)), ("y", np.roll(np.eye(4), 1, axis=0))):
        anchors = {"ids": data.ids, "vectors": (data.a @ turn).tolist()}
        client.put(f"/v1/spaces/{name}", json={"dim": 4, "anchors": anchors})
    return client


@pytest.fixture
def report(linked):
    return linked.get("/v1/translators/t").json()["report"]


def test_a_new_translator_is_201(spaces):
    answer = put(spaces)
    assert (answer.status_code, answer.json()["version"]) == (201, 1)
    assert answer.headers["etag"] == answer.json()["etag"]


def test_a_translator_is_as_it_was_put(spaces):
    wanted = {"method": "ridge", "objective": "reconstruction", "options": {"penalty": 0.5}, "seed": 7}
    put(spaces, **wanted)
    assert {**AB, **wanted}.items() <= spaces.get("/v1/translators/t").json().items()


def test_put_again_is_200_and_changes_nothing(spaces):
    first, again = put(spaces), put(spaces)
    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize(
    "change",
    [
        {"method": "orthogonal"},
        {"objective": "reconstruction"},
        {"seed": 1},
        {"source": "b", "target": "a"},
        {"method": "ridge", "options": {"penalty": 2}},
    ],
)
def test_another_wish_is_a_new_version(spaces, change):
    put(spaces)
    answer = put(spaces, **change)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_asked_for(square, method):
    answer = put(square, source="x", target="y", method=method)
    assert answer.status_code == 201
    assert {candidate["method"] for candidate in answer.json()["report"]["candidates"]} == {method}


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"identity"}))
def test_every_method_but_identity_goes_between_two_widths(spaces, method):
    assert put(spaces, method=method).json()["report"]["method"] == method


def test_identity_between_two_widths_is_422_naming_both(spaces, assert_problem):
    problem = assert_problem(put(spaces, method="identity"), 422, "dimension-mismatch")
    assert (problem["expected"], problem["got"]) == (4, 6)


def test_auto_chooses_by_itself(report):
    assert report["method"] in {"orthogonal", "ridge", "whitened"}


def test_the_report_has_every_figure(report):
    assert set(report["quality"]) == FIGURES


def test_the_report_has_both_baselines_with_every_figure(report):
    assert {name: set(figures) for name, figures in report["baselines"].items()} == {
        "mean": FIGURES,
        "untranslated": FIGURES,
    }


@pytest.mark.parametrize("figure", sorted(FIGURES))
def test_every_figure_lies_in_its_interval(report, figure):
    for group in (report["quality"], *report["baselines"].values()):
        estimate = group[figure]
        assert estimate["low"] <= estimate["mean"] <= estimate["high"]


@pytest.mark.parametrize("figure", ["top1", "mrr", "recall_at_10", "overlap_at_10"])
def test_proportions_lie_between_0_and_1(report, figure):
    for group in (report["quality"], *report["baselines"].values()):
        assert 0 <= group[figure]["low"] <= group[figure]["high"] <= 1


@pytest.mark.parametrize("figure", ["top1", "mrr", "r2", "cosine"])
def test_a_good_translation_beats_both_baselines(report, figure):
    baselines = [report["baselines"][name][figure]["mean"] for name in ("mean", "untranslated")]
    assert report["quality"][figure]["mean"] > max(baselines)


def test_the_report_lists_the_candidates_of_every_method_that_suits(square):
    """Of the others it says nothing: they were not dropped for want of time."""
    suited = {name for name, method in METHODS.items() if method.suits(40, 4, 4)} - Retrieval.passed_over
    report = put(square, source="x", target="y").json()["report"]
    assert ({candidate["method"] for candidate in report["candidates"]}, report["dropped"]) == (suited, [])


def test_every_candidate_names_its_score(report):
    for candidate in report["candidates"]:
        assert candidate["score"].partition(" + ")[0].rpartition(" ")[2] in {"cosine", "csls"}


def test_the_report_says_how_translations_are_scored(report):
    score = report["score"]
    assert score["name"].startswith(score["parts"][0]["name"])
    assert sum(part["weight"] for part in score["parts"]) == pytest.approx(1)
    for part in score["parts"]:
        assert part["name"].startswith(part["codes"])
        assert part["name"].endswith("csls" if part["csls"] else "cosine")
    assert score["name"] in {candidate["score"] for candidate in report["candidates"] if candidate["chosen"]}


def test_the_report_says_how_far_confidence_may_be_trusted(report):
    confidence = report["confidence"]
    assert -1 <= confidence["spearman"] <= 1
    assert sum(row["rows"] for row in confidence["table"]) == 40
    assert all(0 <= row["confidence"] <= 1 for row in confidence["table"])


@pytest.mark.parametrize(("method", "option"), OPTIONS)
@pytest.mark.parametrize("side", ["low", "high"])
def test_every_option_outside_its_range_is_422_with_the_range(refused, method, option, side):
    known = METHODS[method].options[option]
    value = known.low - 1 if side == "low" else known.high * 2 + 1
    problem = refused(422, "invalid-option", method=method, options={option: value})
    assert (problem["expected"], problem["got"]) == ({"low": known.low, "high": known.high}, value)


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_every_option_may_have_its_default(square, method, option):
    value = METHODS[method].options[option].default
    answer = put(square, source="x", target="y", method=method, options={option: value})
    assert answer.status_code == 201
    assert answer.json()["report"]["parameters"][option] == value


def test_exactly_one_candidate_is_chosen(report):
    chosen = [candidate for candidate in report["candidates"] if candidate["chosen"]]
    assert [candidate["method"] for candidate in chosen] == [report["method"]]
    assert chosen[0]["parameters"] == report["parameters"]


def test_every_candidate_has_a_loss_with_its_interval(report):
    for candidate in report["candidates"]:
        assert candidate["loss"]["low"] <= candidate["loss"]["mean"] <= candidate["loss"]["high"]


def test_the_report_says_what_was_measured(report):
    assert (report["anchors"], report["held_out"], report["objective"]) == (40, 40, "retrieval")
    assert report["folds"] * report["gallery"] == 40


def test_the_report_is_the_same_in_every_run(spaces):
    assert put(spaces, "one").json()["report"] == put(spaces, "two").json()["report"]


# Anchors that change


@pytest.fixture
def changed(spaces):
    """`spaces` with a translator t, and one anchor of b put anew since."""
    put(spaces)
    spaces.put("/v1/spaces/b/anchors", json={"ids": ["item-00"], "vectors": [[9.0] * 6]})
    return spaces


def test_a_fresh_translator_is_not_stale(spaces):
    assert put(spaces).json()["stale"] is False


def test_a_translator_on_changed_anchors_is_stale(changed):
    assert changed.get("/v1/translators/t").json()["stale"] is True
    assert changed.get("/v1/translators").json()["translators"][0]["stale"] is True


def test_put_on_changed_anchors_fits_anew(changed):
    before = changed.get("/v1/translators/t").json()
    after = put(changed).json()
    assert (after["version"], after["stale"]) == (2, False)
    assert after["report"]["quality"] != before["report"]["quality"]


def test_a_description_of_a_space_does_not_make_stale(spaces):
    put(spaces)
    spaces.put("/v1/spaces/b", json={"dim": 6, "description": "new"})
    assert spaces.get("/v1/translators/t").json()["stale"] is False


def test_deleted_anchors_make_stale(spaces):
    put(spaces)
    spaces.post("/v1/spaces/a/anchors/delete", json={"ids": ["item-00"]})
    assert spaces.get("/v1/translators/t").json()["stale"] is True


# If-Match, lists, deletion


def test_if_match_with_the_etag_writes(spaces):
    etag = put(spaces).headers["etag"]
    answer = spaces.put("/v1/translators/t", json={**AB, "seed": 1}, headers={"If-Match": etag})
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_stale_if_match_is_412(changed, method, assert_problem):
    body = {**AB, "seed": 1} if method == "PUT" else None
    answer = changed.request(method, "/v1/translators/t", json=body, headers={"If-Match": '"0-0"'})
    assert_problem(answer, 412, "precondition-failed")
    assert changed.get("/v1/translators/t").json()["version"] == 1


@pytest.mark.parametrize("tag", ["*", '"1-1"'])
def test_if_match_on_an_absent_translator_is_412(spaces, tag, assert_problem):
    answer = spaces.put("/v1/translators/t", json=AB, headers={"If-Match": tag})
    assert_problem(answer, 412, "precondition-failed")


def test_lists_are_paged_by_name(spaces):
    for name in ("two", "one", "three"):
        put(spaces, name, method="mean")
    first = spaces.get("/v1/translators?limit=2").json()
    rest = spaces.get("/v1/translators", params={"cursor": first["cursor"]}).json()
    assert [t["name"] for t in first["translators"] + rest["translators"]] == ["one", "three", "two"]
    assert rest["cursor"] is None


def test_delete_is_204_and_then_404(spaces, assert_problem):
    put(spaces)
    assert spaces.delete("/v1/translators/t").status_code == 204
    assert_problem(spaces.get("/v1/translators/t"), 404, "not-found")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_translator_is_404_with_the_nearest_names(spaces, method, assert_problem):
    put(spaces, "a-to-b")
    problem = assert_problem(spaces.request(method, "/v1/translators/a-to-c"), 404, "not-found")
    assert problem["nearest"] == ["a-to-b"]


def test_a_translator_is_there_after_a_restart(make_client, data):
    with make_client() as client:
        for name, vectors in (("a", data.a), ("b", data.b)):
            anchors = {"ids": data.ids, "vectors": vectors.tolist()}
            client.put(f"/v1/spaces/{name}", json={"dim": vectors.shape[1], "anchors": anchors})
        before = put(client).json()
    with make_client() as client:
        assert client.get("/v1/translators/t").json() == before


# What cannot be fitted; nothing is left of it


@pytest.fixture
def refused(spaces, assert_problem):
    """refused(code, **fields): the problem of a PUT that leaves no translator."""

    def refused(status, code, **fields):
        problem = assert_problem(put(spaces, **fields), status, code)
        assert spaces.get("/v1/translators/t").status_code == 404
        return problem

    return refused


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_unknown_space_is_404_with_the_nearest_names(refused, side):
    assert refused(404, "not-found", **{side: "aa"})["nearest"] == ["a"]


def test_one_space_is_422(refused):
    assert refused(422, "same-space", target="a")["got"] == ["a", "a"]


def test_no_shared_anchors_are_422_saying_how_many_each_side_has(refused):
    assert refused(422, "no-shared-anchors", target="c")["got"] == {"source": 40, "target": 5, "shared": 0}


def test_one_shared_anchor_is_422(spaces, refused):
    spaces.put("/v1/spaces/c/anchors", json={"ids": ["item-00"], "vectors": [[1, 2, 3]]})
    problem = refused(422, "too-few-anchors", target="c")
    assert (problem["expected"], problem["got"]) == (2, 1)


def test_few_anchors_are_fitted_with_a_warning(spaces):
    ids = [f"item-{number:02}" for number in range(5)]
    spaces.put("/v1/spaces/c/anchors", json={"ids": ids, "vectors": np.eye(5, 3).tolist()})
    answer = put(spaces, target="c")
    assert answer.status_code == 201
    assert any("anchors" in warning for warning in answer.json()["report"]["warnings"])


def test_two_shared_anchors_are_enough(spaces):
    spaces.put("/v1/spaces/c/anchors", json={"ids": ["item-00", "item-01"], "vectors": [[1, 2, 3], [3, 2, 2]]})
    assert put(spaces, target="c").status_code == 201


def test_an_unknown_method_is_422_with_the_choices(refused):
    assert refused(422, "unknown-method", method="magic")["expected"] == ["auto", *METHODS]


def test_an_unknown_objective_is_422(refused):
    assert refused(422, "unknown-method", objective="magic")["got"] == "magic"


def test_the_objective_of_a_head_is_422_as_a_service_has_none(refused):
    assert refused(422, "invalid-option", objective="head")["expected"] == "head"


def test_an_unknown_option_is_422_with_the_choices(refused):
    assert refused(422, "invalid-option", method="ridge", options={"magic": 1})["got"] == ["magic"]


@pytest.mark.parametrize("value", [-1, "1", True, None, [1], {"vectors": 1}])
def test_an_option_outside_its_range_is_422(refused, value):
    assert refused(422, "invalid-option", method="ridge", options={"penalty": value})["got"] == value


def test_options_of_auto_are_422(refused):
    refused(422, "invalid-option", options={"penalty": 1})


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", True])
def test_a_seed_is_an_integer_below_2_to_the_31(refused, seed):
    assert refused(422, "invalid-input", seed=seed)["errors"][0]["pointer"] == "/seed"


@pytest.mark.parametrize("field", ["source", "target"])
def test_both_spaces_must_be_named(spaces, field, assert_problem):
    body = {key: value for key, value in AB.items() if key != field}
    problem = assert_problem(spaces.put("/v1/translators/t", json=body), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == f"/{field}"
