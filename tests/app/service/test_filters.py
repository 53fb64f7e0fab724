"""Filters over columns, against a plain evaluation of each payload by itself."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service import columns as columns_module
from app.service.columns import Columns
from app.service.filters import OPERATORS, Condition, Filter

# A plain evaluation


def leaves(value, keys):
    if isinstance(value, list):
        return [leaf for element in value for leaf in leaves(element, keys)]
    if keys:
        return leaves(value[keys[0]], keys[1:]) if isinstance(value, dict) and keys[0] in value else []
    return [] if value is None else [value]


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(a, b):
    if is_number(a) and is_number(b):
        return a == b
    return type(a) is type(b) and a == b


BETWEEN = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def within(value, bounds):
    alike = all(
        (is_number(value) and is_number(bound)) or (isinstance(value, str) and isinstance(bound, str))
        for bound in bounds.values()
    )
    return alike and all(BETWEEN[name](value, bound) for name, bound in bounds.items())


PASSES = {
    "in": lambda value, operand: any(equal(value, one) for one in operand),
    "except": lambda value, operand: not any(equal(value, one) for one in operand),
    "range": within,
    "exists": lambda value, operand: True,
    "prefix": lambda value, operand: isinstance(value, str) and value.startswith(operand),
}


def holds(clause, payload):
    if isinstance(clause, Condition):
        found = leaves(payload, clause.key.split("."))
        return any(PASSES[clause.operator](value, clause.operand) for value in found)
    return (
        all(holds(part, payload) for part in clause.must)
        and (not clause.should or any(holds(part, payload) for part in clause.should))
        and not any(holds(part, payload) for part in clause.must_not)
    )


def columns_of(payloads, batch=None):
    """As writes of `batch` points each would leave them."""
    columns = Columns()
    encoded = [b"" if payload is None else orjson.dumps(payload) for payload in payloads]
    for start in range(0, len(encoded), batch or len(encoded) or 1):
        columns.append(encoded[start : start + (batch or len(encoded))])
    return columns


def matching(clause, payloads):
    """Which of the payloads pass a filter, or a condition alone."""
    wanted = clause if isinstance(clause, Filter) else Filter(must=[clause])
    return wanted.mask(columns_of(payloads)).tolist()


# Parity

KEYS = ("a", "b", "ab", "b.a", "a.b", "a.b.a")
TEXTS = st.sampled_from(["", "a", "ab", "abc", "b", "1", "true", "é", "\U0001f600", "a\0b"])
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.5, -1.5, 1.0, 2.0**53, 1e300]),
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
NAMES = st.sampled_from(["a", "b", "ab"])
VALUES = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
PAYLOADS = st.lists(st.one_of(st.none(), st.dictionaries(NAMES, VALUES, max_size=3)), min_size=1, max_size=12)
SMALL = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 0.5, -1.5, 1e300]))  # doubles hold these exactly


def bounds(values):
    return st.dictionaries(st.sampled_from(sorted(BETWEEN)), values, min_size=1, max_size=3)


OPERANDS = {
    "in": st.lists(SCALARS, max_size=4),
    "except": st.lists(SCALARS, max_size=4),
    "range": st.one_of(bounds(SMALL), bounds(TEXTS)),
    "exists": st.none(),
    "prefix": TEXTS,
}
CONDITIONS = st.sampled_from(sorted(OPERATORS)).flatmap(
    lambda name: st.builds(Condition, st.sampled_from(KEYS), st.just(name), OPERANDS[name])
)


def filters_of(clauses):
    some = st.lists(clauses, max_size=2)
    return st.builds(Filter, some, some, some)


FILTERS = filters_of(st.recursive(CONDITIONS, filters_of, max_leaves=4))


@settings(max_examples=100)
@given(payloads=PAYLOADS, wanted=FILTERS, batch=st.integers(1, 5))
def test_columns_agree_with_a_plain_evaluation(payloads, wanted, batch):
    right = [holds(wanted, payload or {}) for payload in payloads]
    assert wanted.mask(columns_of(payloads, batch)).tolist() == right


@settings(max_examples=50)
@given(payloads=PAYLOADS, more=PAYLOADS, wanted=FILTERS, gone=st.sets(st.integers(0, 11)))
def test_columns_are_kept_up_with_writes_and_deletes(payloads, more, wanted, gone):
    columns = columns_of(payloads)
    wanted.mask(columns)  # so that there are columns to keep up
    columns.append([b"" if payload is None else orjson.dumps(payload) for payload in more])
    gone = [slot for slot in gone if slot < len(payloads)]
    columns.remove(np.array(gone, np.int64))
    everything = [*payloads, *more]
    right = [holds(wanted, payload or {}) and slot not in gone for slot, payload in enumerate(everything)]
    assert wanted.mask(columns).tolist() == right


def test_every_operator_is_tried():
    assert {*OPERATORS} == {*PASSES} == {*OPERANDS}


# What it means


def hits(operator, operand, *values):
    return matching(Condition("k", operator, operand), [{"k": value} for value in values])


def test_types_are_not_mixed():
    assert hits("in", [1], 1, 1.0, "1", True, [1], None) == [True, True, False, False, True, False]
    assert hits("in", [True], True, 1, "true") == [True, False, False]
    assert hits("in", [1.0], 1, 1.0, True) == [True, True, False]
    assert hits("in", [0], 0, 0.0, -0.0, False) == [True, True, True, False]


def test_large_integers_are_told_apart():
    assert hits("in", [2**53 + 1], 2**53, 2**53 + 1, 2.0**53) == [False, True, False]
    assert hits("range", {"gt": 2**62}, 2**62, 2**62 + 1) == [False, True]


def test_integers_beyond_64_bits_are_compared_as_floats():
    assert hits("in", [2**64 - 1], 2**64 - 1, 1) == [True, False]
    assert hits("range", {"gt": 2**63}, 2**64 - 1, 2**63 - 1) == [True, False]
    assert hits("range", {"lt": 2**64 - 1}, 5, 2**64 - 1) == [True, False]


def test_a_fraction_bounds_large_integers():
    assert hits("range", {"gt": 0.5}, 2**53 + 1, 1, 0) == [True, True, False]


def test_any_element_of_an_array_may_pass():
    assert hits("range", {"gt": 1, "lt": 3}, [0, 2], [0, 4], [[2]], []) == [True, False, True, False]
    assert hits("except", ["a"], ["a", "b"], ["a"], "a", [], None) == [True, False, False, False, False]


def test_an_object_is_equal_to_nothing_but_there():
    assert hits("except", ["a"], {}, {"x": "a"}) == [True, True]
    assert hits("exists", None, {}, [{}], [], [None], None, False, 0, "") == [
        True, True, False, False, False, True, True, True,
    ]  # fmt: skip


def test_keys_lead_through_objects_and_arrays():
    payloads = [{"a": {"b": 1}}, {"a": [{"b": 2}, {"b": 1}]}, {"a": 1}, {"a.b": 1}, {"a": {"b": {"b": 1}}}, None]
    assert matching(Condition("a.b", "in", [1]), payloads) == [True, True, False, False, False, False]
    assert matching(Condition("a[].b", "in", [1]), payloads) == [True, True, False, False, False, False]


def test_times_are_compared_as_texts():
    bounds = {"gte": "2024-01-01", "lt": "2025"}
    assert hits("range", bounds, "2024-06-30T12:00:00Z", "2025-01-01", "2023-12-31", 2024) == [True, *[False] * 3]


def test_an_empty_filter_matches_every_point():
    assert matching(Filter(), [{}, None, {"a": 1}]) == [True] * 3


def test_one_of_should_is_enough_and_all_of_must_are_needed():
    one, two = Condition("k", "in", [1]), Condition("k", "in", [2])
    payloads = [{"k": 1}, {"k": 2}, {"k": [1, 2]}, {}]
    assert matching(Filter(should=[one, two]), payloads) == [True, True, True, False]
    assert matching(Filter(must=[one, two]), payloads) == [False, False, True, False]
    assert matching(Filter(must_not=[one, two]), payloads) == [False, False, False, True]
    assert matching(Filter(should=[one], must_not=[two]), payloads) == [True, False, False, False]


def test_deleted_slots_match_nothing_even_turned_round():
    columns = columns_of([{"k": 1}, {"k": 2}])
    columns.remove(np.array([1]))
    assert Filter(must_not=[Condition("k", "in", [1])]).mask(columns).tolist() == [False, False]


def test_an_empty_collection_has_no_match():
    assert Filter(must=[Condition("k", "exists")]).mask(Columns()).tolist() == []


def test_keys_of_all_depths_are_named():
    inner = Filter(should=[Condition("b", "exists")], must_not=[Filter(must=[Condition("c", "exists")])])
    assert Filter(must=[Condition("a", "exists"), inner]).keys == {"a", "b", "c"}


# Columns


def test_more_keys_than_are_kept_are_answered(monkeypatch):
    monkeypatch.setattr(columns_module, "COLUMNS", 2)
    payloads = [dict.fromkeys("abcd", 1), {}]
    columns = columns_of(payloads)
    for name in "abcdabcd":
        assert Filter(must=[Condition(name, "exists")]).mask(columns).tolist() == [True, False]
    assert list(columns._columns) == ["c", "d"]


def test_a_column_is_read_once(monkeypatch):
    columns, read = columns_of([{"k": 1}] * 3), []
    monkeypatch.setattr(columns_module.orjson, "loads", lambda data: read.append(data) or {})
    for _ in range(3):
        columns.column("k")
    columns.append([b"{}"])
    columns.column("k")
    assert len(read) == 4


def test_threads_that_ask_at_once_see_the_same():
    columns = columns_of([{"k": number % 7} for number in range(5000)], batch=100)
    barrier, wanted = Barrier(8), Filter(must=[Condition("k", "in", [3])])

    def ask():
        barrier.wait()
        return wanted.mask(columns).sum()

    with ThreadPoolExecutor(8) as pool:
        assert {job.result() for job in [pool.submit(ask) for _ in range(8)]} == {714}
