"""What several writers, replicas and refits must not do to each other."""

import numpy as np
import pytest

from app.errors import CorruptStore, InvalidVectors, OverLimit
from app.service.purposes import RECONSTRUCTION
from app.service.spaces import Space
from app.service.translators import Spec
from app.store.rows import Log, Rows

USE = RECONSTRUCTION  # what `translate` uses translators for


def rows(ids, start=1.0, deletes=()):
    vectors = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2) + np.float32(start)
    return Rows([*ids], vectors, [b""] * len(ids), [*deletes])


@pytest.fixture
def collection(services):
    services.spaces.put("s", Space(2, {}, ""), None, None)
    services.collections.put("c", "s", "euclidean", None)
    return services.collections


def vector_of(collections, id_):
    (point,) = collections.points("c", [id_])
    return point.vector.tolist()


def test_points_overwritten_and_restored_are_the_restored_ones(collection):
    collection.put_points("c", rows([f"p{n}" for n in range(20)]), None)
    collection.put_points("c", rows("abc", 100), None)
    vector_of(collection, "a")
    collection.put_points("c", rows("a", 500), None)
    vector_of(collection, "a")
    collection.put_points("c", rows("abc", 100), None)
    assert vector_of(collection, "a") == [100, 101]


def test_a_collection_made_anew_has_none_of_the_old_points_on_another_replica(collection, replica):
    other = replica().collections
    collection.put_points("c", rows("ab"), None)
    collection.put_points("c", rows("d", 50), None)
    assert len(other.points("c", ["a", "b", "d"])) == 3
    collection.delete("c", None)
    collection.put("c", "s", "euclidean", None)
    collection.put_points("c", rows("ab"), None)
    assert [point.id for point in other.points("c", ["a", "b", "d"])] == ["a", "b"]


def test_a_space_emptied_of_anchors_may_take_another_width(services):
    services.spaces.put("s", Space(2, {}, ""), rows("ab"), None)
    services.spaces.delete_anchors("s", ["a", "b"], None)
    services.spaces.put("s", Space(3, {}, ""), None, None)
    assert services.spaces.anchors("s").vectors.shape == (0, 3)


def test_a_first_use_never_replaces_a_translator(services, put_space):
    put_space(services, "a", seed=1)
    put_space(services, "b", seed=2)
    services.translators.put("a-to-b", Spec("a", "b", "ridge"), None)
    services.translators._first_fit(Spec("a", "b", objective=USE.objective))  # as if it had looked before the put
    assert services.translators.get("a-to-b").value["spec"]["method"] == "ridge"


def test_a_translator_of_few_anchors_does_not_outrank_an_honest_one(services, put_space):
    items = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for name in "ab":
        services.spaces.put(name, Space(4, {}, ""), Rows(["x", "y", "z"], items, [b""] * 3), None)
    services.translators.between("a", "b", USE)
    for seed, name in enumerate("ab"):
        put_space(services, name, seed=seed)
    services.translators.put("good", Spec("a", "b", objective=USE.objective), None)
    assert services.translators.between("a", "b", USE).named["path"] == ["good"]


def test_a_translation_that_overflows_is_refused_with_its_row(services):
    source = np.array([[1, 0], [0, 1], [1, 1], [2, 1]], np.float32) * np.float32(1e-9)
    for name, vectors in (("a", source), ("b", source * np.float32(1e26))):
        services.spaces.put(name, Space(2, {}, ""), Rows([*"wxyz"], vectors, [b""] * 4), None)
    services.translators.put("t", Spec("a", "b", "orthogonal"), None)
    with pytest.raises(InvalidVectors) as caught:
        services.translators.translate(services.translators.named("t"), np.array([[0, 0], [1e4, 1e4]], np.float32))
    assert caught.value.facts["row"] == 1


def test_an_answer_has_a_limit(collection):
    collection.put_points("c", rows("ab"), None)
    with pytest.raises(OverLimit, match="queries x k"):
        collection.search("c", np.ones((201, 2), np.float32), 1000, None, None)


def test_points_that_cannot_be_read_leave_those_in_memory_as_they_are(collection):
    collection.put_points("c", rows("ab"), None)
    record = collection.get("c")
    live = collection.live(record)
    new = Log().append(rows("xy"), 2, collection.blob)
    with pytest.raises(CorruptStore):
        live.catch_up(record.position + 1, new, collection.blob)  # its blobs were never stored
    assert [point.id for point in live.points([*"abxy"])] == ["a", "b"]
