"""Points: ids of both types, vectors of other spaces, pages, counts and deletes by filter."""

import numpy as np
import orjson
import pytest

ARROW = "application/vnd.apache.arrow.stream"
COLLECTION = "/v1/collections/things"
POINTS = f"{COLLECTION}/points"
COLOURS = ("red", "green", "blue")


def put(client, ids, vectors, **fields):
    body = {"ids": ids, "vectors": np.asarray(vectors).tolist(), **fields}
    return client.put(POINTS, json=body)


def points(client, *ids, **fields):
    answer = client.post(f"{POINTS}/get", json={"ids": ids, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["points"]


def page(client, **fields):
    answer = client.post(f"{POINTS}/list", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(client, **fields):
    """All ids, page after page."""
    ids, cursor = [], None
    while True:
        got = page(client, cursor=cursor, **fields)
        ids.append([point["id"] for point in got["points"]])
        if (cursor := got["cursor"]) is None:
            return ids


def count(client, **fields):
    return client.post(f"{POINTS}/count", json=fields).json()["count"]


def of_colour(colour):
    return {"must": [{"key": "colour", "match": {"value": colour}}]}


@pytest.fixture
def flat(client):
    """A collection `things` of two dimensions, without points."""
    client.put("/v1/spaces/flat", json={"dim": 2})
    client.put(COLLECTION, json={"space": "flat"})
    return client


def put_coloured(client, data):
    """20 points of b in turn red, green and blue."""
    client.put(COLLECTION, json={"space": "b"})
    payloads = [{"colour": COLOURS[number % 3], "number": number} for number in range(20)]
    put(client, data.new_ids, data.new_b, payloads=payloads)
    return client


@pytest.fixture
def coloured(spaces, data):
    return put_coloured(spaces, data)


@pytest.fixture
def coloured_anywhere(anywhere, data):
    """Over every class of store."""
    return put_coloured(anywhere, data)


# Ids

EXTREMES = [0, -1, 7, 10, 2**63 - 1, -(2**63)]


def test_integer_ids_are_answered_as_integers(flat):
    put(flat, EXTREMES, [[1, n] for n in range(6)])
    assert [point["id"] for point in points(flat, *EXTREMES)] == EXTREMES
    hits = flat.post(f"{COLLECTION}/search", json={"vectors": [[1, 2]], "k": 6}).json()["results"][0]
    assert {hit["id"] for hit in hits} == {*EXTREMES}
    assert pages(flat, limit=4) == [sorted(EXTREMES)[:4], sorted(EXTREMES)[4:]]


def test_missing_integers_are_named_as_integers(flat):
    put(flat, [1], [[1, 1]])
    assert flat.post(f"{POINTS}/get", json={"ids": [3, 1, 2]}).json()["missing"] == [2, 3]


def test_integer_ids_are_there_after_a_restart(make_client, store_url):
    with make_client(store=store_url) as client:
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put(COLLECTION, json={"space": "flat"})
        put(client, EXTREMES, [[1, n] for n in range(6)])
    with make_client(store=store_url) as client:
        assert pages(client) == [sorted(EXTREMES)]


def test_integers_go_through_arrow_both_ways(flat, arrow, read_arrow):
    body = arrow(id=[1, 2], vector=[[1.0, 0.0], [0.0, 1.0]])
    assert flat.put(POINTS, content=body, headers={"Content-Type": ARROW}).json()["points"] == 2
    answer = flat.post(f"{POINTS}/get", json={"ids": [2, 1]}, headers={"Accept": ARROW})
    assert read_arrow(answer)["id"].to_pylist() == [2, 1]


@pytest.mark.parametrize(
    "ids", [[7, "7"], ["7", 7], [7, 7.5], [True], [None], [[1]], [2**63], ["x", ""], ["x" * 513], []]
)
def test_a_batch_has_ids_of_one_type(flat, ids, assert_problem):
    problem = assert_problem(put(flat, ids, [[1, 1]] * max(1, len(ids))), 422, "invalid-input")
    assert problem["errors"][0]["pointer"].startswith("/ids")
    assert count(flat) == 0


ASKED = [
    ("PUT", "points", {"ids": ["7"], "vectors": [[1, 1]]}),
    ("POST", "points/get", {"ids": ["7"]}),
    ("POST", "points/delete", {"ids": ["7"]}),
    ("POST", "points/list", {"cursor": "7"}),
    ("POST", "rerank", {"vectors": [[1, 1]], "candidates": {"ids": ["7"], "vectors": [[1, 1]]}}),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_the_text_7_is_not_taken_for_the_integer_7(flat, method, path, body, assert_problem):
    put(flat, [7], [[1, 1]])
    problem = assert_problem(flat.request(method, f"{COLLECTION}/{path}", json=body), 422, "invalid-input")
    assert (problem["expected"], problem["got"]) == ("integers", "7")
    assert pages(flat) == [[7]]


def test_the_integer_7_is_not_taken_for_the_text_7(flat, assert_problem):
    put(flat, ["7"], [[1, 1]])
    problem = assert_problem(put(flat, [7], [[1, 1]]), 422, "invalid-input")
    assert (problem["expected"], problem["got"]) == ("texts", 7)


def test_an_emptied_collection_takes_ids_of_the_other_type(flat):
    put(flat, [7], [[1, 1]])
    assert flat.post(f"{POINTS}/delete", json={"ids": [9, 8, 7, 7]}).json()["missing"] == [8, 9]
    assert put(flat, ["7"], [[1, 1]]).status_code == 200
    assert pages(flat) == [["7"]]


def test_integers_twice_in_a_batch_are_422(flat, assert_problem):
    assert "7" in assert_problem(put(flat, [7, 8, 7], [[1, 1]] * 3), 422, "invalid-input")["detail"]


# Vectors of another space


def test_points_of_another_space_are_translated_on_their_way_in(anywhere, data):
    anywhere.put(COLLECTION, json={"space": "b"})
    answer = put(anywhere, data.new_ids, data.new_a, space="a")
    origin = {"space": "a", "translators": [{"name": "a-to-b", "version": 1}]}
    assert (answer.status_code, answer.json()["origin"]) == (200, origin)
    body = {"translator": "a-to-b", "vectors": data.new_a.tolist()}
    right = anywhere.post("/v1/translate", json=body).json()["vectors"]
    got = points(anywhere, *data.new_ids, **{"with": ["vector", "origin"]})
    np.testing.assert_allclose([point["vector"] for point in got], right, rtol=1e-6)
    assert [point["origin"] for point in got] == [origin] * 20


def test_an_origin_never_names_another_translator(anywhere, data):
    anywhere.put(COLLECTION, json={"space": "b"})
    put(anywhere, data.new_ids[:1], data.new_a[:1], space="a")
    again = anywhere.get("/v1/translators/a-to-b").json()
    assert anywhere.delete("/v1/translators/a-to-b").status_code == 204
    wanted = {"source": "a", "target": "b", "method": "orthogonal"}
    assert anywhere.put("/v1/translators/a-to-b", json=wanted).json()["version"] == again["version"] + 1
    put(anywhere, data.new_ids[1:2], data.new_a[1:2], space="a")
    got = points(anywhere, *data.new_ids[:2], **{"with": ["origin"]})
    assert [point["origin"]["translators"][0]["version"] for point in got] == [1, 2]


def test_a_native_vector_has_no_origin(coloured, data):
    assert put(coloured, ["new"], data.new_b[:1]).json()["origin"] is None
    got = points(coloured, "new", data.new_ids[0], **{"with": ["origin"]})
    assert got == [{"id": "new", "origin": None}, {"id": data.new_ids[0], "origin": None}]


def test_a_native_vector_in_place_of_a_translated_one_drops_its_origin(anywhere, data):
    anywhere.put(COLLECTION, json={"space": "b"})
    put(anywhere, data.new_ids[:2], data.new_a[:2], space="a")
    (translated,) = points(anywhere, data.new_ids[0])
    put(anywhere, data.new_ids[:1], [translated["vector"]])  # the same numbers
    got = points(anywhere, *data.new_ids[:2], **{"with": ["origin"]})
    assert [point["origin"] is None for point in got] == [True, False]


def test_origins_are_there_after_a_restart_and_merges(make_client, store_url, data):
    with make_client(store=store_url) as client:
        for name, vectors in (("a", data.a), ("b", data.b)):
            anchors = {"ids": data.ids, "vectors": vectors.tolist()}
            client.put(f"/v1/spaces/{name}", json={"dim": vectors.shape[1], "anchors": anchors})
        client.put(COLLECTION, json={"space": "b"})
        for row, id_ in enumerate(data.new_ids):
            source = {"space": "a"} if row % 2 else {}
            put(client, [id_], [data.new_a[row] if row % 2 else data.new_b[row]], **source)
    with make_client(store=store_url) as client:
        got = points(client, *data.new_ids, **{"with": ["origin"]})
    assert [point["origin"] is not None for point in got] == [False, True] * 10


def test_the_translator_may_be_named_and_its_version_is_kept(spaces, data):
    spaces.put("/v1/translators/t", json={"source": "a", "target": "b", "method": "ridge"})
    spaces.put("/v1/translators/t", json={"source": "a", "target": "b", "method": "orthogonal"})
    spaces.put(COLLECTION, json={"space": "b"})
    origin = put(spaces, ["n"], data.new_a[:1], translator="t").json()["origin"]
    assert origin == {"space": "a", "translators": [{"name": "t", "version": 2}]}


def test_the_steps_of_a_path_are_all_kept(spaces, data):
    spaces.put("/v1/spaces/c/anchors", json={"ids": data.ids, "vectors": data.b[:, :3].tolist()})
    spaces.put("/v1/spaces/d", json={"dim": 3})
    spaces.put("/v1/spaces/d/anchors", json={"ids": data.lonely, "vectors": data.c.tolist()})
    spaces.put(COLLECTION, json={"space": "b"})
    origin = put(spaces, ["n"], data.c[:1], space="d").json()["origin"]
    assert [step["name"] for step in origin["translators"]] == ["d-to-c", "c-to-b"]


def test_points_that_name_the_collections_own_space_are_native(coloured, data):
    assert put(coloured, ["n"], data.new_b[:1], space="b").json()["origin"] is None


def test_a_translator_that_leads_elsewhere_writes_nothing(coloured, data, assert_problem):
    coloured.put("/v1/translators/back", json={"source": "b", "target": "a"})
    problem = assert_problem(put(coloured, ["n"], data.new_a[:1], translator="back"), 422, "invalid-input")
    assert problem["got"] == {"source": "b", "target": "a"}
    assert count(coloured) == 20


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"space": "nobody"}, 404, "not-found"),
        ({"translator": "nobody"}, 404, "not-found"),
        ({"space": "c"}, 422, "no-shared-anchors"),
    ],
)
def test_a_way_that_is_not_there_writes_nothing(coloured, data, fields, status, code, assert_problem):
    vectors = data.c if fields == {"space": "c"} else data.new_a
    assert_problem(put(coloured, ["n"], vectors[:1], **fields), status, code)
    assert count(coloured) == 20


def test_points_of_another_width_than_their_space_are_422(coloured, data, assert_problem):
    problem = assert_problem(put(coloured, ["n"], data.new_b[:1], space="a"), 422, "wrong-dimension")
    assert problem["expected"]["space"] == "a"


def test_points_of_another_space_that_they_do_not_name_are_422_with_the_translator(coloured, data, assert_problem):
    coloured.put("/v1/translators/t", json={"source": "a", "target": "b"})
    problem = assert_problem(put(coloured, ["n"], data.new_a[:1]), 422, "wrong-dimension")
    assert problem["translators"] == ["t"]
    assert "'t' leads here from 'a'" in problem["detail"]


def test_points_of_another_space_as_arrow(coloured, data, arrow, read_arrow):
    body = arrow(id=["n"], vector=data.new_a[:1].tolist(), payload=['{"colour":"pink"}'])
    answer = coloured.put(f"{POINTS}?space=a", content=body, headers={"Content-Type": ARROW})
    assert answer.json()["origin"]["space"] == "a"
    listing = {"filter": of_colour("pink"), "with": ["origin", "payload", "vector"]}
    table = read_arrow(coloured.post(f"{POINTS}/list", json=listing, headers={"Accept": ARROW}))
    assert table.column_names == ["id", "payload", "vector", "origin"]
    assert orjson.loads(table["origin"][0].as_py()) == answer.json()["origin"]


def test_translated_points_are_no_evidence_for_a_pairing(coloured, data, assert_problem):
    """Fitted on its own translations, a translator would confirm itself."""
    coloured.put("/v1/collections/more", json={"space": "a"})
    body = {"ids": data.new_ids, "vectors": data.new_b.tolist(), "space": "b"}
    coloured.put("/v1/collections/more/points", json=body).raise_for_status()
    translators = coloured.app_state["services"].translators
    assert len(translators._points("things", "b")) == 20
    assert len(translators._points("more", "a")) == 0


# Pages and counts


@pytest.mark.parametrize("limit", [1, 7, 20, 1000])
def test_pages_go_through_all_points_by_id(coloured_anywhere, data, limit):
    ids = [id_ for part in pages(coloured_anywhere, limit=limit) for id_ in part]
    assert ids == sorted(data.new_ids)


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_of_a_filter_are_full(coloured, data, limit):
    red = data.new_ids[::3]
    assert pages(coloured, limit=limit, filter=of_colour("red")) == [
        red[start : start + limit] for start in range(0, 7, limit)
    ]


def test_pages_go_on_while_points_come_and_go(coloured_anywhere, data):
    first = page(coloured_anywhere, limit=10)
    put(coloured_anywhere, ["item-00", "item-99"], data.new_b[:2])
    coloured_anywhere.post(f"{POINTS}/delete", json={"ids": [first["cursor"], "item-55"]})
    rest = page(coloured_anywhere, cursor=first["cursor"])
    assert [point["id"] for point in rest["points"]] == [*sorted({*data.new_ids[10:]} - {"item-55"}), "item-99"]


def test_pages_carry_what_was_asked_for(coloured, data):
    (plain,) = page(coloured, limit=1)["points"]
    assert plain == {"id": "item-40", "payload": {"colour": "red", "number": 0}}
    assert page(coloured, limit=1, **{"with": []})["points"] == [{"id": "item-40"}]
    (whole,) = page(coloured, limit=1, **{"with": ["vector", "origin"]})["points"]
    assert whole == {"id": "item-40", "vector": pytest.approx(data.new_b[0].tolist()), "origin": None}


def test_an_empty_collection_has_one_empty_page(flat, read_arrow):
    assert page(flat) == {"points": [], "cursor": None}
    answer = flat.post(f"{POINTS}/list", json={}, headers={"Accept": ARROW})
    assert read_arrow(answer).num_rows == 0


def test_a_page_as_arrow_has_its_cursor_as_metadata(coloured, data, read_arrow):
    table = read_arrow(coloured.post(f"{POINTS}/list", json={"limit": 3}, headers={"Accept": ARROW}))
    assert table["id"].to_pylist() == data.new_ids[:3]
    assert orjson.loads(table.schema.metadata[b"cursor"]) == data.new_ids[2]


@pytest.mark.parametrize("limit", [0, 1001, "3", None])
def test_a_page_has_1_to_1000_points(flat, limit, assert_problem):
    answer = flat.post(f"{POINTS}/list", json={"limit": limit})
    assert assert_problem(answer, 422, "invalid-input")["errors"][0]["pointer"] == "/limit"


def test_counts_are_of_all_or_of_a_filter(coloured):
    assert count(coloured) == 20
    assert [count(coloured, filter=of_colour(colour)) for colour in (*COLOURS, "pink")] == [7, 7, 6, 0]


def test_counts_see_writes_at_once(coloured_anywhere, data):
    assert count(coloured_anywhere, filter=of_colour("red")) == 7
    put(coloured_anywhere, ["new", data.new_ids[1]], data.new_b[:2], payloads=[{"colour": "red"}] * 2)
    assert [count(coloured_anywhere, filter=of_colour(colour)) for colour in COLOURS] == [9, 6, 6]


# Deletes by filter


def test_a_delete_by_filter_takes_all_that_match_and_nothing_else(coloured_anywhere, data):
    answer = coloured_anywhere.post(f"{POINTS}/delete", json={"filter": of_colour("red")})
    assert (answer.status_code, answer.json()["points"]) == (200, 13)
    assert (answer.json()["deleted"], answer.json()["missing"]) == (7, [])
    left = [id_ for number, id_ in enumerate(data.new_ids) if number % 3]
    assert pages(coloured_anywhere) == [left]
    hits = coloured_anywhere.post(
        f"{COLLECTION}/search", json={"vectors": data.new_b[:1].tolist(), "k": 20}
    ).json()
    assert {hit["id"] for hit in hits["results"][0]} == {*left}


def test_a_delete_by_a_filter_that_matches_nothing_writes_nothing(coloured):
    before = coloured.get(COLLECTION).json()
    answer = coloured.post(f"{POINTS}/delete", json={"filter": of_colour("pink")})
    assert (answer.status_code, answer.json()) == (200, {**before, "deleted": 0, "missing": []})


def test_what_a_filter_deleted_stays_deleted(make_client, store_url):
    with make_client(store=store_url) as client:
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put(COLLECTION, json={"space": "flat"})
        put(client, [1, 2, 3], [[1, 1]] * 3, payloads=[{"colour": "red"}, {"colour": "blue"}, None])
        client.post(f"{POINTS}/delete", json={"filter": of_colour("red")})
    with make_client(store=store_url) as client:
        assert pages(client) == [[2, 3]]


@pytest.mark.parametrize("body", [{}, {"ids": ["x"], "filter": {}}, {"filters": {}}])
def test_a_delete_says_which(coloured, body, assert_problem):
    assert_problem(coloured.post(f"{POINTS}/delete", json=body), 422, "invalid-input")
    assert count(coloured) == 20


WITHOUT = [
    {},
    {"must": []},
    {"must": [], "should": [], "must_not": []},
    {"must": [{}]},
    {"must_not": [{"should": [{}]}]},
    {"should": [{}, {"key": "colour", "match": {"value": "red"}}]},
    {"must": [{"key": "colour", "exists": True}], "must_not": [{"must": [{"should": []}]}]},
]


@pytest.mark.parametrize("condition", WITHOUT)
def test_a_delete_by_a_filter_without_a_condition_is_refused(coloured, condition, assert_problem):
    answer = coloured.post(f"{POINTS}/delete", json={"filter": condition})
    assert "to delete all points, delete the collection" in assert_problem(answer, 422, "invalid-input")["detail"]
    assert count(coloured) == 20
    assert coloured.post(f"{POINTS}/list", json={"filter": condition}).status_code == 200


# Payloads


def test_a_payload_over_the_limit_is_422_with_its_row_and_nothing_is_kept(make_client, assert_problem):
    with make_client(max_payload_bytes=20) as client:
        client.put("/v1/spaces/flat", json={"dim": 2})
        client.put(COLLECTION, json={"space": "flat"})
        fits, too_long = {"k": "x" * 12}, {"k": "x" * 13}
        assert put(client, ["fits"], [[1, 1]], payloads=[fits]).status_code == 200
        problem = assert_problem(
            put(client, ["a", "b"], [[1, 1]] * 2, payloads=[fits, too_long]), 422, "over-limit"
        )
        assert (problem["row"], problem["limit"], problem["got"]) == (1, 20, 21)
        assert pages(client) == [["fits"]]
