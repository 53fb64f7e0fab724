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
from app.store import Write
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


def of_before(services, store, name, silent=()):
    """The record of a head as it was when it held its evaluations itself, no marks, nor what `silent` names."""
    head = services.heads.get(name)
    value = {key: part for key, part in head.value.items() if key not in ("seen", *silent)}
    value |= {"evaluations": {"b": {"items": 9}}}
    rests_on = (("space", "b"),)
    return store.commit(
        Write("head", name, head.position, value, rests_on=rests_on, refers=frozenset([value["artifact"]]))
    )


def test_a_head_of_before_keeps_its_evaluations_and_gets_new_ones(services, store):
    services.fitting.fit("f", labelled(services, "b"), None, None)
    assert services.heads.evaluations(of_before(services, store, "f")) == {"b": {"items": 9}}
    done = services.evaluations.evaluate("f", labelled(services, "a"), None)
    assert any("not known which items" in warning for warning in done.warnings)
    kept = services.heads.evaluations(services.heads.get("f"))
    assert (kept.keys(), kept["b"], kept["a"]["at"]) == ({"a", "b"}, {"items": 9}, done.at)
    services.fitting.fit("f", labelled(services, "b"), None, None)
    assert services.heads.evaluations(services.heads.get("f")) == {}


@pytest.mark.parametrize("silent", [(), ("fit", "relative")])
def test_a_head_of_before_that_is_put_again_as_it_was_stays_as_it_is(services, store, silent):
    before = of_before(services, store, "h", silent)
    spec = HeadSpec("linear", "b", labels=["x", "y"])
    assert services.heads.put("h", spec, {"weight": WEIGHT}, None) == (before, False)
    assert services.heads.put("h", spec, {"weight": 2 * WEIGHT}, None)[0].version == before.version + 1


def test_a_head_of_before_that_is_fitted_again_learns_what_it_has_seen(services, store):
    services.fitting.fit("f", labelled(services, "b"), None, None)
    seen = services.heads.seen(services.heads.get("f"))
    before = of_before(services, store, "f")
    services.fitting.fit("f", labelled(services, "b"), None, None)
    after = services.heads.get("f")
    assert (after.version, services.heads.seen(after)) == (before.version + 1, seen)


def test_what_a_head_that_was_put_was_fitted_on_is_no_question(services, store):
    of_before(services, store, "h")
    warnings = services.evaluations.evaluate("h", labelled(services, "b"), None).warnings
    assert not any("fitted on" in warning for warning in warnings)


def between_two_deletes(services, happens, late=True):
    """`happens` once the head is deleted, and its evaluations are not: after these were read, or before."""
    find = services.heads._evaluations.find

    def first(name):
        services.heads._evaluations.find = find
        if late:
            kept = find(name)
            happens(name)
            return kept
        happens(name)
        return find(name)

    services.heads._evaluations.find = first


@pytest.mark.parametrize("late", [True, False])
def test_a_head_made_anew_while_the_old_one_is_deleted_keeps_its_evaluation(services, store, late):
    services.evaluations.evaluate("h", labelled(services, "b"), None)

    def made_anew(name):
        record, _ = services.heads.put(name, HeadSpec("linear", "b", labels=["x", "y"]), {"weight": WEIGHT}, None)
        services.heads.keep(record, "b", {"of": "the new one"})

    between_two_deletes(services, made_anew, late)
    services.heads.delete("h", None)
    assert services.heads.evaluations(services.heads.get("h")) == {"b": {"of": "the new one"}}
    services.heads.delete("h", None)
    assert store.get("evaluations", "h") is None


def test_a_delete_is_done_where_another_replica_has_deleted_the_evaluations(services, store):
    services.evaluations.evaluate("h", labelled(services, "b"), None)
    between_two_deletes(services, lambda name: over(store).heads._evaluations.delete(name, None))
    services.heads.delete("h", None)
    assert (store.get("head", "h"), store.get("evaluations", "h")) == (None, None)


def test_a_page_of_heads_has_its_evaluations_by_one_read(services, store, monkeypatch):
    names = [f"h{number}" for number in range(6)]
    for name in names:
        services.heads.put(name, HeadSpec("linear", "b", labels=["x", "y"]), {"weight": WEIGHT}, None)
    for name in names[1:5]:
        services.heads.keep(services.heads.get(name), "b", {"of": name})
    wanted = [{}, {}, *({"b": {"of": name}} for name in names[1:5]), {}]
    reads, page = [], store.page
    monkeypatch.setattr(store, "page", lambda *of: reads.append(of) or page(*of))
    heads, _ = services.heads.page("", 100)
    assert services.heads.evaluations_of(heads, "") == wanted
    assert [kind for kind, *_ in reads] == ["head", "evaluations"]
    assert services.heads.evaluations_of([], "h5") == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_evaluations_that_no_head_has_any_more_hide_none(services, store, limit):
    for number in range(5):  # as a crash between two deletes leaves them
        store.commit(Write("evaluations", f"gone-{number}", 0, {"head": 1, "last": {"b": {}}}))
    for name in ("h1", "h2"):
        services.heads.put(name, HeadSpec("linear", "b", labels=["x", "y"]), {"weight": WEIGHT}, None)
        services.heads.keep(services.heads.get(name), "b", {"of": name})
    found, after = [], ""
    while after is not None:
        heads, following = services.heads.page(after, limit)
        found += zip([head.name for head in heads], services.heads.evaluations_of(heads, after), strict=True)
        after = following
    assert dict(found) == {"h": {}, "h1": {"b": {"of": "h1"}}, "h2": {"b": {"of": "h2"}}}


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
