"""The life of a space and of its anchors."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def two(client):
    """The client, with a space `s` of two dimensions and three anchors."""
    anchors = {"ids": ["x", "y", "z"], "vectors": [[1, 2], [3, 4], [5, 6]]}
    client.put("/v1/spaces/s", json={"dim": 2, "anchors": anchors})
    return client


def anchors_of(client, name="s", **query):
    body = client.get(f"/v1/spaces/{name}/anchors", params=query).json()
    return dict(zip(body["ids"], body["vectors"], strict=True))


def put_anchors(client, ids, vectors, **options):
    return client.put("/v1/spaces/s/anchors", json={"ids": ids, "vectors": vectors}, **options)


def test_a_new_space_is_201(client):
    answer = client.put("/v1/spaces/s", json={"dim": 3})
    assert answer.status_code == 201
    assert answer.json()["version"] == 1


def test_a_space_is_as_it_was_put(client):
    wanted = {"dim": 3, "fingerprint": {"model": "m", "normalised": True, "dim": 3, "x": None}, "description": "ü"}
    client.put("/v1/spaces/s", json=wanted)
    assert wanted.items() <= client.get("/v1/spaces/s").json().items()


def test_put_again_is_200_and_changes_nothing(client):
    first = client.put("/v1/spaces/s", json={"dim": 3, "description": "d"})
    again = client.put("/v1/spaces/s", json={"dim": 3, "description": "d"})
    assert (again.status_code, again.json()) == (200, first.json())


def test_another_description_is_a_new_version(two):
    before = two.get("/v1/spaces/s").json()
    after = two.put("/v1/spaces/s", json={"dim": 2, "description": "new"}).json()
    assert (after["version"], after["created_at"]) == (before["version"] + 1, before["created_at"])
    assert after["anchors"] == 3


def test_the_etag_is_header_and_member(client):
    answer = client.put("/v1/spaces/s", json={"dim": 3})
    assert answer.headers["etag"] == answer.json()["etag"]
    assert client.get("/v1/spaces/s").headers["etag"] == answer.headers["etag"]


def test_get_shows_counts_and_times(two):
    body = two.get("/v1/spaces/s").json()
    assert (body["name"], body["anchors"], body["anchors_version"]) == ("s", 3, 1)
    assert body["created_at"] <= body["updated_at"]


def test_delete_is_200_and_then_404(two):
    answer = two.delete("/v1/spaces/s")
    assert (answer.status_code, answer.json()) == (200, {"translators": []})
    assert two.get("/v1/spaces/s").status_code == 404


def test_a_name_that_is_taken_again_goes_on_with_its_versions_and_etags(client):
    first = client.put("/v1/spaces/s", json={"dim": 3}).json()
    client.delete("/v1/spaces/s")
    second = client.put("/v1/spaces/s", json={"dim": 3}).json()
    assert (first["version"], second["version"]) == (1, 2)
    assert second["etag"] != first["etag"]
    stale = client.put("/v1/spaces/s", json={"dim": 4}, headers={"If-Match": first["etag"]})
    assert stale.status_code == 412


def test_a_space_that_is_taken_again_has_no_anchors(two):
    two.delete("/v1/spaces/s")
    two.put("/v1/spaces/s", json={"dim": 2})
    assert anchors_of(two) == {}


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "x" * 128])
def test_names_may_be(client, name):
    assert client.put(f"/v1/spaces/{name}", json={"dim": 1}).status_code == 201


@pytest.mark.parametrize("name", ["A", "-a", ".a", "a b", "x" * 129, "ä", "a%0A", "%00"])
def test_names_may_not_be(client, name, assert_problem):
    answer = client.put(f"/v1/spaces/{name}", json={"dim": 1})
    assert answer.json()["errors"][0]["pointer"] == "/path/space"
    assert answer.status_code == 422


# If-Match


def test_if_match_with_the_etag_writes(two):
    etag = two.get("/v1/spaces/s").headers["etag"]
    answer = two.put("/v1/spaces/s", json={"dim": 2, "description": "d"}, headers={"If-Match": etag})
    assert answer.status_code == 200


def test_if_match_may_list_several(two):
    etag = two.get("/v1/spaces/s").headers["etag"]
    assert two.delete("/v1/spaces/s", headers={"If-Match": f'"9-9", {etag}'}).status_code == 200


def test_if_match_star_writes_what_is_there(two):
    answer = two.put("/v1/spaces/s", json={"dim": 2, "description": "d"}, headers={"If-Match": "*"})
    assert answer.status_code == 200


WRITES = [
    ("PUT", "/v1/spaces/s", {"dim": 2, "description": "d"}),
    ("DELETE", "/v1/spaces/s", None),
    ("PUT", "/v1/spaces/s/anchors", {"ids": ["n"], "vectors": [[7, 7]]}),
    ("POST", "/v1/spaces/s/anchors/delete", {"ids": ["x"]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_stale_if_match_is_412_and_writes_nothing(two, method, path, body, assert_problem):
    before = two.get("/v1/spaces/s").json()
    answer = two.request(method, path, json=body, headers={"If-Match": '"9-9"'})
    problem = assert_problem(answer, 412, "precondition-failed")
    assert (problem["expected"], problem["got"]) == ('"9-9"', before["etag"])
    assert two.get("/v1/spaces/s").json() == before


@pytest.mark.parametrize("tag", ["*", '"1-1"'])
def test_if_match_on_an_absent_space_is_412(client, tag, assert_problem):
    answer = client.put("/v1/spaces/s", json={"dim": 2}, headers={"If-Match": tag})
    assert_problem(answer, 412, "precondition-failed")
    assert client.get("/v1/spaces/s").status_code == 404


# Lists


def test_an_empty_list_has_no_cursor(client):
    assert client.get("/v1/spaces").json() == {"spaces": [], "cursor": None}


def test_lists_are_by_name(spaces):
    assert [space["name"] for space in spaces.get("/v1/spaces").json()["spaces"]] == ["a", "b", "c"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_follow_each_other_by_cursor(spaces, limit):
    names, cursor = [], ""
    while cursor is not None:
        page = spaces.get("/v1/spaces", params={"limit": limit, "cursor": cursor}).json()
        assert 1 <= len(page["spaces"]) <= limit
        names, cursor = names + [space["name"] for space in page["spaces"]], page["cursor"]
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize("limit", [0, -1, 1001, "x"])
def test_a_page_has_1_to_1000_items(client, limit, assert_problem):
    problem = assert_problem(client.get("/v1/spaces", params={"limit": limit}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/query/limit"


# Anchors


def test_inline_anchors_are_there(two):
    assert anchors_of(two) == {"x": [1, 2], "y": [3, 4], "z": [5, 6]}


def test_inline_anchors_are_upserted(two):
    body = {"dim": 2, "anchors": {"ids": ["z", "new"], "vectors": [[0, 0], [8, 8]]}}
    assert two.put("/v1/spaces/s", json=body).json()["anchors"] == 4
    assert anchors_of(two) == {"x": [1, 2], "y": [3, 4], "z": [0, 0], "new": [8, 8]}


def test_inline_anchors_may_be_base64(client, npy):
    data = {"base64": "AACAPwAAAEA=", "dtype": "<f4", "shape": [1, 2]}
    client.put("/v1/spaces/s", json={"dim": 2, "anchors": {"ids": ["x"], "vectors": data}})
    assert anchors_of(client) == {"x": [1, 2]}


def test_anchors_are_upserted_by_id(two):
    assert put_anchors(two, ["y", "n"], [[9, 9], [7, 7]]).json()["anchors"] == 4
    assert anchors_of(two) == {"x": [1, 2], "y": [9, 9], "z": [5, 6], "n": [7, 7]}


def test_the_same_anchors_again_change_nothing(two):
    before = two.get("/v1/spaces/s").json()
    assert put_anchors(two, ["z", "x"], [[5, 6], [1, 2]]).json() == before


def test_changed_anchors_are_a_new_version(two):
    after = put_anchors(two, ["x"], [[0, 1]]).json()
    assert (after["version"], after["anchors_version"]) == (2, 2)


def test_a_description_does_not_change_the_anchors_version(two):
    after = two.put("/v1/spaces/s", json={"dim": 2, "description": "d"}).json()
    assert (after["version"], after["anchors_version"]) == (2, 1)


def test_integer_ids_mean_their_text(client):
    client.put("/v1/spaces/s", json={"dim": 1})
    put_anchors(client, [7, -1, "8"], [[1], [2], [3]])
    put_anchors(client, ["7", 8], [[4], [5]])
    assert anchors_of(client) == {"7": [4], "-1": [2], "8": [5]}


@pytest.mark.parametrize("ids", [[True], [1.0], [None], [["x"]], [""], ["x" * 513]])
def test_ids_may_not_be(two, ids, assert_problem):
    problem = assert_problem(put_anchors(two, ids, [[1, 2]]), 422, "invalid-input")
    assert problem["errors"][0]["pointer"].startswith("/ids/0")


@pytest.mark.parametrize("id_", ["a b", "ключ/鍵 😀", "x" * 512, "a,b", "a\u0000b", "Ω" * 512])
def test_ids_may_be_any_text(client, id_):
    client.put("/v1/spaces/s", json={"dim": 1})
    assert put_anchors(client, [id_], [[1]]).status_code == 200
    assert anchors_of(client, id=id_) == {id_: [1]}


def test_ids_twice_in_a_batch_are_422(two, assert_problem):
    problem = assert_problem(put_anchors(two, ["n", 5, "5"], [[1, 2]] * 3), 422, "invalid-input")
    assert "'5'" in problem["detail"]
    assert len(anchors_of(two)) == 3


def test_as_many_ids_as_vectors(two, assert_problem):
    problem = assert_problem(put_anchors(two, ["n"], [[1, 2]] * 3), 422, "invalid-input")
    assert "1 ids and 3 vectors" in problem["detail"]


def test_anchors_of_another_width_are_422_naming_both(two, assert_problem):
    problem = assert_problem(put_anchors(two, ["n"], [[1, 2, 3]]), 422, "wrong-dimension")
    assert (problem["expected"]["space"], problem["expected"]["dim"], problem["got"]["dim"]) == ("s", 2, 3)


def test_anchors_of_no_space_are_404(client, assert_problem):
    assert_problem(put_anchors(client, ["n"], [[1]]), 404, "not-found")


def test_delete_takes_anchors_out_and_passes_over_the_others(two):
    answer = two.post("/v1/spaces/s/anchors/delete", json={"ids": ["y", "nobody", "y"]})
    assert (answer.status_code, answer.json()["anchors"], answer.json()["version"]) == (200, 2, 2)
    assert (answer.json()["deleted"], answer.json()["missing"]) == (1, ["nobody"])
    assert anchors_of(two) == {"x": [1, 2], "z": [5, 6]}


def test_delete_of_absent_anchors_changes_nothing(two):
    before = two.get("/v1/spaces/s").json()
    answer = two.post("/v1/spaces/s/anchors/delete", json={"ids": ["nobody"]})
    assert answer.json() == {**before, "deleted": 0, "missing": ["nobody"]}


def test_delete_of_no_ids_is_422(two, assert_problem):
    assert_problem(two.post("/v1/spaces/s/anchors/delete", json={"ids": []}), 422, "invalid-input")


def test_all_anchors_can_be_deleted_and_put_again(two):
    two.post("/v1/spaces/s/anchors/delete", json={"ids": ["x", "y", "z"]})
    assert anchors_of(two) == {}
    put_anchors(two, ["y"], [[3, 4]])
    assert anchors_of(two) == {"y": [3, 4]}


def test_many_small_writes_leave_what_was_written_last(client):
    client.put("/v1/spaces/s", json={"dim": 1})
    wanted = {}
    for step in range(25):
        id_ = str(step * 7 % 10)
        if step % 4 == 3:
            client.post("/v1/spaces/s/anchors/delete", json={"ids": [id_]})
            wanted.pop(id_, None)
        else:
            put_anchors(client, [id_], [[step]])
            wanted[id_] = [step]
    assert anchors_of(client) == wanted


def test_asked_anchors_come_in_the_order_asked(two):
    body = two.get("/v1/spaces/s/anchors?id=z&id=x").json()
    assert (body["ids"], body["vectors"], body["cursor"]) == (["z", "x"], [[5, 6], [1, 2]], None)


def test_an_unknown_asked_anchor_is_404(two, assert_problem):
    problem = assert_problem(two.get("/v1/spaces/s/anchors?id=x&id=nobody"), 404, "not-found")
    assert problem["missing"] == ["nobody"]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_anchors_are_paged_by_id(two, limit):
    ids, cursor = [], ""
    while cursor is not None:
        page = two.get("/v1/spaces/s/anchors", params={"limit": limit, "cursor": cursor}).json()
        ids, cursor = ids + page["ids"], page["cursor"]
        assert len(page["ids"]) == len(page["vectors"]) <= limit
    assert ids == ["x", "y", "z"]


def test_anchors_come_back_exactly(client):
    wanted = np.random.default_rng(3).standard_normal((20, 5)).astype(np.float32)
    client.put("/v1/spaces/s", json={"dim": 5})
    put_anchors(client, [f"{n:02}" for n in range(20)], wanted.tolist())
    got = client.get("/v1/spaces/s/anchors").json()["vectors"]
    np.testing.assert_array_equal(np.array(got, np.float32), wanted)


def test_anchors_as_npy(two, read_npy):
    answer = two.get("/v1/spaces/s/anchors", headers={"Accept": NPY})
    np.testing.assert_array_equal(read_npy(answer), [[1, 2], [3, 4], [5, 6]])


def test_anchors_as_arrow(two, read_arrow):
    table = read_arrow(two.get("/v1/spaces/s/anchors", headers={"Accept": ARROW}))
    assert table.to_pydict() == {"id": ["x", "y", "z"], "vector": [[1, 2], [3, 4], [5, 6]]}


def test_a_page_as_npy_says_where_the_next_one_starts(two):
    answer = two.get("/v1/spaces/s/anchors?limit=2", headers={"Accept": NPY})
    assert answer.headers["anchorage-cursor"] == "y"


@pytest.mark.parametrize("id_", ["ключ", "a\nb"])
def test_a_page_as_npy_may_end_at_any_id(client, id_):
    client.put("/v1/spaces/s", json={"dim": 1})
    put_anchors(client, [id_, "\U0010ffff"], [[1], [2]])
    answer = client.get("/v1/spaces/s/anchors?limit=1", headers={"Accept": NPY})
    assert answer.status_code == 200
    assert not {"\r", "\n"} & set(answer.headers["anchorage-cursor"])


@pytest.mark.parametrize("accept", [NPY, ARROW, "application/json"])
def test_a_space_without_anchors_has_a_page_in_every_format(client, accept):
    client.put("/v1/spaces/s", json={"dim": 3})
    assert client.get("/v1/spaces/s/anchors", headers={"Accept": accept}).status_code == 200


def test_anchors_can_be_put_as_npy(two, npy):
    answer = two.put("/v1/spaces/s/anchors?ids=n&ids=m", content=npy(np.eye(2)), headers={"Content-Type": NPY})
    assert answer.json()["anchors"] == 5
    assert anchors_of(two, id="m") == {"m": [0, 1]}


def test_anchors_can_be_put_as_arrow(two, arrow):
    body = arrow(id=["n", "m"], vector=[[1.0, 0.0], [0.0, 1.0]])
    assert two.put("/v1/spaces/s/anchors", content=body, headers={"Content-Type": ARROW}).status_code == 200
    assert anchors_of(two, id="m") == {"m": [0, 1]}


# What others rest on


@pytest.mark.parametrize("change", [{"dim": 3}, {"dim": 2, "fingerprint": {"model": "other"}}])
def test_the_identity_cannot_change_under_anchors(two, change, assert_problem):
    before = two.get("/v1/spaces/s").json()
    problem = assert_problem(two.put("/v1/spaces/s", json=change), 409, "conflict")
    assert problem["expected"] == {"dim": 2, "fingerprint": {}}
    assert two.get("/v1/spaces/s").json() == before


@pytest.mark.parametrize("change", [{"dim": 3}, {"dim": 2, "fingerprint": {"model": "other"}}])
def test_the_identity_can_change_while_nothing_rests_on_it(client, change):
    client.put("/v1/spaces/s", json={"dim": 2})
    assert change.items() <= client.put("/v1/spaces/s", json=change).json().items()


@pytest.mark.parametrize("change", [{"dim": 3}, {"dim": 2, "fingerprint": {"model": "other"}}])
def test_the_identity_cannot_change_under_a_collection(client, change, assert_problem):
    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/things", json={"space": "s"})
    problem = assert_problem(client.put("/v1/spaces/s", json=change), 409, "in-use")
    assert problem["dependents"] == [{"kind": "collection", "name": "things"}]


def test_the_description_can_change_under_a_collection(client):
    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/things", json={"space": "s"})
    assert client.put("/v1/spaces/s", json={"dim": 2, "description": "d"}).status_code == 200


def test_a_space_under_a_collection_cannot_be_deleted(stocked, assert_problem):
    problem = assert_problem(stocked.delete("/v1/spaces/b"), 409, "in-use")
    assert problem["dependents"] == [{"kind": "collection", "name": "things"}]


@pytest.mark.parametrize("space", ["a", "b"])
def test_a_space_under_a_translator_cannot_be_deleted(spaces, space, assert_problem):
    spaces.put("/v1/translators/t", json={"source": "a", "target": "b", "method": "ridge"})
    problem = assert_problem(spaces.delete(f"/v1/spaces/{space}"), 409, "in-use")
    assert problem["dependents"] == [{"kind": "translator", "name": "t"}]


def test_a_space_can_be_deleted_when_nothing_rests_on_it_any_more(stocked):
    stocked.delete("/v1/collections/things")
    assert stocked.delete("/v1/spaces/b").status_code == 200


# Names that are not there


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/spaces/encoder-2", None),
        ("DELETE", "/v1/spaces/encoder-2", None),
        ("GET", "/v1/spaces/encoder-2/anchors", None),
        ("PUT", "/v1/spaces/encoder-2/anchors", {"ids": ["x"], "vectors": [[1]]}),
        ("POST", "/v1/spaces/encoder-2/anchors/delete", {"ids": ["x"]}),
    ],
)
def test_an_unknown_space_is_404_with_the_nearest_names(client, method, path, body, assert_problem):
    client.put("/v1/spaces/encoder-1", json={"dim": 1})
    problem = assert_problem(client.request(method, path, json=body), 404, "not-found")
    assert (problem["got"], problem["nearest"]) == ("encoder-2", ["encoder-1"])


def test_everything_is_there_after_a_restart(make_client, data):
    with make_client() as client:
        client.put("/v1/spaces/s", json={"dim": 4, "anchors": {"ids": data.ids, "vectors": data.a.tolist()}})
        before = client.get("/v1/spaces/s").json(), anchors_of(client)
    with make_client() as client:
        assert (client.get("/v1/spaces/s").json(), anchors_of(client)) == before


@pytest.mark.parametrize("dim", [0, -1, 2.5, "3", True, None])
def test_a_dimension_is_a_positive_integer(client, dim, assert_problem):
    problem = assert_problem(client.put("/v1/spaces/s", json={"dim": dim}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/dim"


def test_a_space_wider_than_the_limit_is_422(make_client, assert_problem):
    with make_client(max_dim=8) as client:
        problem = assert_problem(client.put("/v1/spaces/s", json={"dim": 9}), 422, "over-limit")
    assert (problem["limit"], problem["got"]) == (8, 9)


def test_a_fingerprint_may_use_any_key(client):
    wanted = {"vectors": "normalised", "ids": "none"}
    assert client.put("/v1/spaces/s", json={"dim": 1, "fingerprint": wanted}).status_code == 201


# What the service has fitted by itself


def translate(client, data, source, target):
    vectors = getattr(data, f"new_{source}").tolist()
    return client.post("/v1/translate", json={"source": source, "target": target, "vectors": vectors})


def test_a_space_takes_the_translators_of_first_uses_with_it(anywhere, data):
    for source, target in (("a", "b"), ("b", "a")):
        translate(anywhere, data, source, target)
    assert anywhere.delete("/v1/spaces/a").json() == {"translators": ["a-to-b", "b-to-a"]}
    assert anywhere.get("/v1/translators").json()["translators"] == []
    assert translate(anywhere, data, "a", "b").status_code == 404


def test_a_translator_that_was_put_keeps_the_space_and_those_of_first_uses(anywhere, data, assert_problem):
    translate(anywhere, data, "a", "b")
    anywhere.put("/v1/translators/t", json={"source": "b", "target": "a", "method": "ridge"})
    problem = assert_problem(anywhere.delete("/v1/spaces/a"), 409, "in-use")
    assert problem["dependents"] == [{"kind": "translator", "name": "t"}]
    names = [one["name"] for one in anywhere.get("/v1/translators").json()["translators"]]
    assert names == ["a-to-b", "t"]


def test_a_translator_of_a_first_use_that_somebody_puts_again_is_theirs(spaces, data, assert_problem):
    translate(spaces, data, "a", "b")
    spec = {"source": "a", "target": "b", "objective": "reconstruction"}
    fitted = spaces.get("/v1/translators/a-to-b").json()
    put = spaces.put("/v1/translators/a-to-b", json=spec)
    assert (put.status_code, put.json()["version"], put.json()["report"]) == (200, 2, fitted["report"])
    assert spaces.put("/v1/translators/a-to-b", json=spec).json()["version"] == 2
    problem = assert_problem(spaces.delete("/v1/spaces/b"), 409, "in-use")
    assert problem["dependents"] == [{"kind": "translator", "name": "a-to-b"}]


def test_a_space_goes_while_it_is_translated_from(anywhere, data):
    """Every call finds it as it was, or does not find it: 404, and never 500."""
    calls = [
        lambda: translate(anywhere, data, "a", "b"),
        lambda: translate(anywhere, data, "b", "a"),
        lambda: anywhere.get("/v1/translators"),
        lambda: anywhere.get("/v1/translators/a-to-b"),
    ]
    few = {"dim": 4, "anchors": {"ids": data.ids[:6], "vectors": data.a[:6].tolist()}}  # soon fitted
    done = threading.Event()

    def statuses(call):
        found = set()
        while not done.is_set():
            found.add(call().status_code)
        return found

    anywhere.delete("/v1/spaces/a")
    anywhere.put("/v1/spaces/a", json=few)
    with ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(statuses, call) for call in calls]
        try:
            for _ in range(2):
                while anywhere.get("/v1/translators").json()["translators"] == []:
                    time.sleep(0.001)
                assert anywhere.delete("/v1/spaces/a").json()["translators"]
                assert anywhere.put("/v1/spaces/a", json=few).status_code == 201
        finally:
            done.set()
    assert [one.result() <= {200, 404} for one in running] == [True] * len(calls)
    assert running[2].result() == {200}
