"""POST /v1/relative: every similarity and product, as the class that it stands for computes them."""

import json
from base64 import b64decode
from urllib.parse import urlencode

import numpy as np
import pytest
import torch

from models.relative import CHOICES, OPTIONS, Relative
from models.similarities import SIMILARITIES

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def ask(headed, data):
    """ask(**fields): the new items of a."""
    return lambda **fields: headed.post(
        "/v1/relative", json={"space": "a", "vectors": data.new_a.tolist(), **fields}
    )


def expected(data, ids, **parameters):
    anchors = torch.from_numpy(data.a[[data.ids.index(id_) for id_ in ids]])
    return Relative(**parameters).fit(anchors).transform(torch.from_numpy(data.new_a)).numpy()


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_similarity(name, ask, data):
    answer = ask(similarity=name, anchors=data.ids[:9]).json()
    np.testing.assert_allclose(answer["vectors"], expected(data, data.ids[:9], similarities=(name,)), **CLOSE)
    assert (answer["space"], answer["anchors"]) == ("a", data.ids[:9])


@pytest.mark.parametrize("aggregation", CHOICES["aggregation"])
def test_products(aggregation, ask, data):
    options = {"before": "whitened", "after": "standardised", "aggregation": aggregation}
    weights = [0.5, 2, 1] if aggregation == "weighted" else []
    names = ["cosine", "euclidean", "geodesic"]
    answer = ask(similarity=names, anchors=data.ids[3:], weights=weights, **options).json()
    parameters = {"similarities": tuple(names), "weights": tuple(weights), **options}
    np.testing.assert_allclose(answer["vectors"], expected(data, data.ids[3:], **parameters), **CLOSE)


@pytest.mark.parametrize(
    "options",
    [
        {"after": "whitened", "penalty": 0.5},
        {"before": "none", "kept": 3, "power": 2.0},
        {"before": "whitened", "shrinkage": 0.9},
    ],
)
def test_options(options, ask, data):
    answer = ask(anchors=data.ids, **options).json()
    np.testing.assert_allclose(answer["vectors"], expected(data, data.ids, **options), **CLOSE)


def test_without_a_word_it_is_the_centred_cosine_to_all_anchors(ask, data):
    answer = ask().json()
    assert answer["anchors"] == sorted(data.ids)
    np.testing.assert_allclose(answer["vectors"], expected(data, data.ids), **CLOSE)


def test_anchors_keep_the_order_that_was_asked_for(ask, data):
    ids = data.ids[8::-2]
    assert ask(anchors=ids).json()["anchors"] == ids
    np.testing.assert_allclose(ask(anchors=ids).json()["vectors"], expected(data, ids), **CLOSE)


@pytest.mark.parametrize("selector", ["uniform", "farthest_point", "kmeans", "leverage"])
def test_anchors_may_be_left_to_a_selector(selector, ask, data):
    answer = ask(anchors={"selector": selector, "count": 5}).json()
    assert len(set(answer["anchors"])) == 5
    np.testing.assert_allclose(answer["vectors"], expected(data, answer["anchors"]), **CLOSE)


def test_codes_follow_the_anchors(spaces, data):
    body = {"space": "a", "vectors": data.new_a.tolist(), "anchors": data.ids[:3], "before": "none"}
    before = np.array(spaces.post("/v1/relative", json=body).json()["vectors"])
    spaces.put("/v1/spaces/a/anchors", json={"ids": data.ids[:1], "vectors": (-data.a[:1]).tolist()})
    after = np.array(spaces.post("/v1/relative", json=body).json()["vectors"])
    np.testing.assert_allclose(after, before * [-1, 1, 1], **CLOSE)


def test_base64_holds_the_same_numbers(ask, data):
    answer = ask(anchors=data.ids[:4], encoding_format="base64").json()["vectors"]
    numbers = ask(anchors=data.ids[:4]).json()["vectors"]
    decoded = np.frombuffer(b64decode(answer["base64"]), "<f4").reshape(answer["shape"])
    np.testing.assert_allclose(decoded, numbers, rtol=1e-6)


@pytest.mark.parametrize("kind", [NPY, ARROW])
def test_binary_bodies_and_answers(kind, headed, ask, data, npy, arrow, read_npy, read_arrow):
    query = {"space": "a", "similarity": ["cosine", "l1"], "anchors": data.ids[:4], "penalty": 0.1}
    content = npy(data.new_a) if kind == NPY else arrow(vector=list(data.new_a))
    url = f"/v1/relative?{urlencode(query, doseq=True)}"
    answer = headed.post(url, content=content, headers={"Content-Type": kind, "Accept": kind})
    found = read_npy(answer) if kind == NPY else read_arrow(answer)["vector"].to_pylist()
    numbers = ask(similarity=["cosine", "l1"], anchors=data.ids[:4]).json()["vectors"]
    np.testing.assert_allclose(found, numbers, rtol=1e-6)


def test_one_anchor_of_a_binary_body_is_a_list_of_one(headed, data, npy, read_npy):
    headers = {"Content-Type": NPY, "Accept": NPY}
    url = f"/v1/relative?space=a&similarity=linf&anchors={data.ids[7]}"
    found = read_npy(headed.post(url, content=npy(data.new_a), headers=headers))
    np.testing.assert_allclose(found, expected(data, [data.ids[7]], similarities=("linf",)), **CLOSE)


def test_a_selector_beside_a_binary_body_is_json_text(headed, data, npy, read_arrow, ask):
    headers = {"Content-Type": NPY, "Accept": ARROW}
    choice = {"selector": "kmeans", "count": 3}
    url = f"/v1/relative?{urlencode({'space': 'a', 'anchors': json.dumps(choice)})}"
    table = read_arrow(headed.post(url, content=npy(data.new_a), headers=headers))
    right = ask(anchors=choice).json()
    assert json.loads(table.schema.metadata[b"anchors"]) == right["anchors"]
    np.testing.assert_allclose(table["vector"].to_pylist(), right["vectors"], rtol=1e-6)


def test_a_selector_that_is_no_json_is_422(headed, data, npy, assert_problem):
    url = f"/v1/relative?{urlencode({'space': 'a', 'anchors': '{selector'})}"
    problem = assert_problem(
        headed.post(url, content=npy(data.new_a), headers={"Content-Type": NPY}), 422, "invalid-input"
    )
    assert problem["errors"][0]["pointer"] == "/anchors"
    assert "in a query parameter JSON" in problem["detail"]


def test_a_selector_that_is_nested_too_deeply_is_400(headed, data, npy, assert_problem):
    text = '{"must":[' * 500 + "]}" * 500
    url = f"/v1/relative?{urlencode({'space': 'a', 'anchors': text})}"
    answer = headed.post(url, content=npy(data.new_a), headers={"Content-Type": NPY})
    assert "nested too deeply" in assert_problem(answer, 400, "malformed-body")["detail"]


# What is refused


@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_outside_its_range_is_422_with_the_range(option, side, ask, assert_problem):
    known = OPTIONS[option]
    value = known.low - 1 if side == "low" else known.high * 2 + 1
    problem = assert_problem(ask(**{option: value}), 422, "invalid-option")
    assert (problem["expected"], problem["got"]) == ({"low": known.low, "high": known.high}, value)


@pytest.mark.parametrize("option", CHOICES)
def test_every_choice_that_there_is_none_of_is_422(option, ask, assert_problem):
    problem = assert_problem(ask(**{option: "perhaps"}), 422, "invalid-option")
    assert all(choice in problem["expected"] for choice in CHOICES[option])


def test_an_unknown_similarity_is_422_with_the_known(ask, assert_problem):
    assert assert_problem(ask(similarity=["taste"]), 422, "unknown-method")["expected"] == list(SIMILARITIES)


@pytest.mark.parametrize(
    "fields",
    [{"kept": 0}, {"similarity": []}, {"similarity": ["l1", "cosine", "l1"]}, {"anchors": ["p", "p"]}],
)
def test_what_makes_no_code_is_422(fields, ask, assert_problem):
    assert_problem(ask(**fields), 422, "invalid-input")


@pytest.mark.parametrize(
    "fields",
    [{"aggregation": "weighted"}, {"weights": [1]}, {"similarity": "l1", "kept": 2}],
)
def test_options_that_do_not_go_together_are_422(fields, ask, assert_problem):
    assert_problem(ask(**fields), 422, "invalid-option")


def test_anchors_that_the_space_lacks_are_422_with_their_number(ask, data, assert_problem):
    problem = assert_problem(ask(anchors=[*data.ids[:3], "nobody", "no-one"]), 422, "invalid-input")
    assert problem["unknown"] == ["nobody", "no-one"]
    assert "2 of 5" in problem["detail"]


@pytest.mark.parametrize("selector", ["prototypes", "taste"])
def test_an_unknown_selector_is_422(selector, ask, assert_problem):
    assert_problem(ask(anchors={"selector": selector, "count": 3}), 422, "unknown-selector")


def test_no_anchors_are_too_few(ask, assert_problem):
    assert_problem(ask(anchors=[]), 422, "too-few-anchors")


def test_a_space_without_anchors_is_422(client, assert_problem):
    client.put("/v1/spaces/empty", json={"dim": 2})
    answer = client.post("/v1/relative", json={"space": "empty", "vectors": [[1, 2]]})
    assert_problem(answer, 422, "too-few-anchors")


def test_vectors_of_another_width_are_422(ask, assert_problem):
    assert_problem(ask(vectors=[[1, 2, 3]]), 422, "wrong-dimension")


def test_codes_that_pass_single_precision_are_422_with_the_row(ask, data, assert_problem):
    far = [data.new_a[0].tolist(), [9e17] * 4]
    answer = ask(vectors=far, similarity="inner", weights=[1e300], aggregation="weighted", anchors=data.ids[:2])
    assert assert_problem(answer, 422, "invalid-vectors")["row"] in (0, 1)


def test_an_answer_that_is_too_large_is_422(make_client, data, assert_problem):
    with make_client(max_outputs=10) as client:
        client.put(
            "/v1/spaces/a", json={"dim": 4, "anchors": {"ids": data.ids[:2], "vectors": data.a[:2].tolist()}}
        )
        body = {"space": "a", "vectors": data.new_a[:6].tolist()}
        problem = assert_problem(client.post("/v1/relative", json=body), 422, "over-limit")
        assert (problem["limit"], problem["got"]) == (10, 12)


def test_chosen_anchors_are_not_told_by_a_matrix_alone(headed, data, assert_problem):
    body = {"space": "a", "vectors": data.new_a.tolist(), "anchors": {"selector": "uniform", "count": 3}}
    answer = headed.post("/v1/relative", json=body, headers={"Accept": NPY})
    assert "'anchors' beside it" in assert_problem(answer, 406, "not-acceptable")["detail"]
    assert headed.post("/v1/relative", json=body).json()["anchors"] != data.ids[:3]
