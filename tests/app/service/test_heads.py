"""Heads in every store: what rests on what, what is kept, and what happens between replicas."""

import numpy as np
import pytest
import torch

from app.errors import Conflict, InUse, NotFound
from app.service import Services
from app.service.examples import examples
from app.service.heads import HeadSpec
from app.service.purposes import LONGEST_NAME, Purpose
from app.service.relative import RelativeSpec
from app.service.spaces import Space
from app.service.translators import Spec
from app.settings import Settings
from app.store.rows import Rows
from models.errors import InvalidHead

IDS = [f"item-{number:02}" for number in range(40)]
WEIGHT = torch.eye(2, 4)
LABELS = [["x", "y"][number % 2] for number in range(40)]


def over(store):
    return Services.over(store, Settings())


@pytest.fixture
def services(store):
    """With the spaces a and b of the same 40 items, and a head h of b, in a store of every class."""
    services = over(store)
    items = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    for name, vectors in (("a", items), ("b", items[:, ::-1].copy())):
        services.spaces.put(name, Space(4, {}, ""), Rows(IDS, vectors, [b""] * 40), None)
    services.heads.put("h", HeadSpec("linear", "b", labels=["x", "y"]), {"weight": WEIGHT}, None)
    yield services
    services.onnx.close()


def labelled(services, space):
    return examples(services.spaces, space, LABELS, IDS, None)


def vectors(services, space):
    return services.spaces.anchors(space).vectors


def for_head(method="ridge"):
    return Spec("a", "b", method, "head", head="h")


def test_a_head_survives_its_service(services, store):
    outputs = services.stitching.stitch("b", "h", vectors(services, "b")).outputs
    again = over(store)
    assert torch.equal(again.stitching.stitch("b", "h", vectors(services, "b")).outputs, outputs)
    again.onnx.close()


def test_an_evaluation_survives_its_service(services, store):
    done = services.evaluations.evaluate("h", labelled(services, "b"), None)
    heads = over(store).heads
    kept = heads.evaluations(heads.get("h"))["b"]
    assert (kept["native"]["accuracy"]["mean"], kept["at"]) == (done.native["accuracy"].mean, done.at)


def test_the_weights_of_a_head_that_was_replaced_are_dropped(services, store):
    before = services.heads.get("h").value["artifact"]
    services.heads.put("h", HeadSpec("linear", "b"), {"weight": 2 * WEIGHT}, None)
    assert store.blob(before) is None
    assert services.stitching.stitch("b", "h", vectors(services, "b")).head.version == 2


def mlp(function):
    return {"layers": ["linear", function], "tensors": {"0.weight": WEIGHT, "0.bias": torch.zeros(2)}}


@pytest.mark.parametrize(("function", "activation"), [("tanh", "softmax"), ("relu", "none")])
def test_the_same_tensors_in_another_head_make_its_translators_stale(services, function, activation):
    services.heads.put("h", HeadSpec("mlp", "b", activation="softmax"), mlp("relu"), None)
    services.translators.put("t", for_head(), None)
    services.heads.put("h", HeadSpec("mlp", "b", activation=activation), mlp(function), None)
    assert services.translators.is_stale(services.translators.get("t"))
    assert services.translators.put("t", for_head(), None)[0].version == 2
    assert not services.translators.is_stale(services.translators.get("t"))


def test_anchors_are_evaluated_even_where_they_are_two(services):
    services.spaces.put_anchors("a", Rows([], np.empty((0, 4), np.float32), [], IDS[2:]), None)
    services.translators.put("t", for_head(), None)
    of_two = examples(services.spaces, "a", LABELS[:2], IDS[:2], None)
    assert services.evaluations.evaluate("h", of_two, None).cross_fitted == 2


def test_an_evaluation_leaves_the_weights_and_what_rests_on_the_head(services):
    services.translators.put("t", for_head(), None)
    services.evaluations.evaluate("h", labelled(services, "b"), None)
    assert services.stitching.stitch("b", "h", vectors(services, "b")).outputs.shape == (40, 2)
    assert not services.translators.is_stale(services.translators.get("t"))
    with pytest.raises(InUse):
        services.heads.delete("h", None)
    with pytest.raises(InUse):
        services.spaces.delete("b", None)


def test_an_evaluation_is_no_change_of_the_head(services):
    before = services.heads.get("h")
    services.evaluations.evaluate("h", labelled(services, "b"), None)
    assert services.heads.get("h") == before


@pytest.mark.parametrize("deleted", [False, True])
def test_evaluations_are_of_the_head_as_it_was(deleted, services):
    services.evaluations.evaluate("h", labelled(services, "b"), None)
    if deleted:
        services.heads.delete("h", None)
    services.heads.put("h", HeadSpec("linear", "b", labels=["x", "y"]), {"weight": 2 * WEIGHT}, None)
    assert services.heads.evaluations(services.heads.get("h")) == {}
    services.evaluations.evaluate("h", labelled(services, "a"), None)
    assert services.heads.evaluations(services.heads.get("h")).keys() == {"a"}


def test_nothing_is_left_of_a_fitted_head_that_is_deleted(services, store):
    services.fitting.fit("f", labelled(services, "b"), None, None)
    services.evaluations.evaluate("f", labelled(services, "b"), None)
    value = services.heads.get("f").value
    services.heads.delete("f", None)
    assert [store.blob(value[name]) for name in ("artifact", "seen")] == [None, None]
    assert store.get("evaluations", "f") is None


def test_a_head_that_is_deleted_leaves_its_space_free(services, store):
    digest = services.heads.get("h").value["artifact"]
    services.heads.delete("h", None)
    services.spaces.delete("b", None)
    assert store.blob(digest) is None


def test_a_translator_of_a_head_that_is_not_there_is_none(services):
    services.heads.delete("h", None)
    with pytest.raises(NotFound):
        services.translators.put("t", for_head(), None)


@pytest.mark.parametrize(("labels", "scale"), [(["y", "x"], 1), (["x", "y"], 2)])
def test_figures_of_a_head_that_was_replaced_meanwhile_are_not_kept(services, labels, scale):
    evaluated = services.heads.get("h")
    services.heads.put("h", HeadSpec("linear", "b", labels=labels), {"weight": scale * WEIGHT}, None)
    with pytest.raises(Conflict, match="replaced"):
        services.heads.keep(evaluated, "b", {"space": "b"})
    assert services.heads.evaluations(services.heads.get("h")) == {}
    services.heads.delete("h", None)
    with pytest.raises(NotFound):
        services.heads.keep(evaluated, "b", {"space": "b"})


def test_a_refused_head_leaves_the_one_before(services):
    before = services.heads.get("h")
    with pytest.raises(InvalidHead):
        services.heads.put("h", HeadSpec("linear", "b", labels=["x"]), {"weight": WEIGHT}, None)
    assert services.heads.get("h") == before


@pytest.fixture
def overtaken(services, store):
    """Services without anything in memory, which read the head h just before it is replaced."""
    reader = over(store)
    find = reader.heads.find

    def find_then_replace(name):
        record = find(name)
        reader.heads.find = find
        services.heads.put("h", HeadSpec("linear", "b"), {"weight": 2 * WEIGHT}, None)
        return record

    reader.heads.find = find_then_replace
    yield reader
    reader.onnx.close()


def test_a_translator_is_fitted_for_the_head_that_took_its_place(overtaken):
    record, _ = overtaken.translators.put("t", for_head(), None)
    assert not overtaken.translators.is_stale(record)


def test_anchors_are_crossed_for_the_head_that_took_its_place(services, overtaken):
    record, _ = services.translators.put("t", for_head("auto"), None)
    assert overtaken.translators.crossed(record).keys() == set(IDS)


def test_a_product_of_translator_and_head_is_kept(services):
    services.translators.put("t", for_head(), None)
    for _ in range(3):
        services.stitching.stitch("a", "h", vectors(services, "a"))
    found = services.stitching._fused.cache_info()
    assert (found.hits, found.misses) == (2, 1)


def test_the_product_is_that_of_the_head_as_it_is_now(services):
    services.translators.put("t", for_head(), None)
    first = services.stitching.stitch("a", "h", vectors(services, "a")).outputs
    services.heads.put("h", HeadSpec("linear", "b"), {"weight": 2 * WEIGHT}, None)
    torch.testing.assert_close(services.stitching.stitch("a", "h", vectors(services, "a")).outputs, 2 * first)


def test_codes_of_a_space_are_fitted_once_for_its_anchors(services):
    relative = RelativeSpec(IDS[:5], {"similarities": ["cosine"]})
    services.heads.put("r", HeadSpec("linear", None, relative), {"weight": torch.ones(1, 5)}, None)
    for space in ("a", "b", "a"):
        services.stitching.stitch(space, "r", vectors(services, space))
    services.spaces.put_anchors("a", Rows(IDS[:1], np.ones((1, 4), np.float32), [b""]), None)
    services.stitching.stitch("a", "r", vectors(services, "a"))
    found = services.codes._cached.cache_info()
    assert (found.hits, found.misses) == (1, 3)


@pytest.mark.parametrize("length", [40, 80, 128])
def test_names_of_first_uses_are_no_longer_than_names_may_be(length):
    for purpose in (Purpose("head", "h" * length), Purpose("retrieval"), Purpose("reconstruction")):
        names = list(purpose.names("x" * length, "y" * length))
        assert len(set(names)) == len(names)
        assert all(len(name) <= LONGEST_NAME for name in names)


def test_every_purpose_has_names_of_its_own():
    purposes = [Purpose("head", "h"), Purpose("head", "i"), Purpose("retrieval"), Purpose("reconstruction")]
    marked = {list(purpose.names("a", "b"))[-1] for purpose in purposes}
    plain = {next(purpose.names("a", "b")) for purpose in purposes}
    assert plain == {"a-to-b-head-h", "a-to-b-head-i", "a-to-b-search", "a-to-b"}
    assert len(marked) == 4
