"""Who is nearest to whom."""

import numpy as np

from anchors.neighbours import csls, mutual, mutual_pairs
from anchors.scale import standard, unit


def test_csls_is_the_formula_written_out():
    cosine = np.random.default_rng(0).uniform(-1, 1, (14, 23))
    scores = csls(cosine)
    for i, j in [(0, 0), (13, 22), (4, 9)]:
        near_x, near_y = np.sort(cosine[i])[-10:].mean(), np.sort(cosine[:, j])[-10:].mean()
        assert np.isclose(scores[i, j], 2 * cosine[i, j] - near_x - near_y)


def test_fewer_than_ten_neighbours_are_all_of_them():
    cosine = np.random.default_rng(0).uniform(-1, 1, (3, 4))
    assert np.allclose(csls(cosine), 2 * cosine - cosine.mean(1)[:, None] - cosine.mean(0))


def test_csls_passes_by_a_hub():
    cosine = np.full((12, 12), 0.1)
    np.fill_diagonal(cosine, 0.8)
    cosine[:, 0] = 0.9
    assert (cosine.argmax(1) == 0).all()
    assert csls(cosine).argmax(1).tolist() == list(range(12))


def test_mutual_are_those_who_choose_each_other_the_surest_first():
    rows, columns = mutual(np.array([[0.5, 0.1, 0.2], [0.6, 0.1, 0.2], [0.0, 0.3, 0.9], [0.0, 0.2, 0.1]]))
    assert (rows.tolist(), columns.tolist()) == ([2, 1], [2, 0])


def test_equal_clouds_are_matched_row_by_row():
    x = unit(np.random.default_rng(0).normal(size=(40, 6)))
    rows, columns = mutual_pairs(x, x[::-1])
    assert sorted(rows) == list(range(40))
    assert (columns == 39 - rows).all()


def test_unit_rows_have_length_one_and_zero_stays_zero():
    scaled = unit(np.array([[3, 4], [0, 0]], np.float32))
    assert scaled.dtype == np.float32
    assert np.allclose(scaled, [[0.6, 0.8], [0, 0]])


def test_the_standard_is_centred_and_of_mean_squared_length_one():
    scaled = standard(np.random.default_rng(0).normal(7, 3, (50, 4)).astype(np.float32))
    assert np.allclose(scaled.mean(0), 0)
    assert np.isclose((scaled**2).sum(1).mean(), 1)


def test_equal_rows_have_no_scale():
    assert standard(np.full((3, 2), 5, np.float32)).tolist() == [[0, 0]] * 3
