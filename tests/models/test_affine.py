"""The affine map, and two of them as one."""

import pytest
import torch

from models.affine import Affine
from models.errors import DimensionMismatch


@pytest.fixture
def affine(normal):
    """affine(d1, d2) of standard normal numbers."""
    return lambda d1, d2: Affine(normal(d1, d2), normal(d2))


@pytest.mark.parametrize(("d1", "d2"), [(3, 3), (2, 5), (5, 2), (1, 1)])
def test_every_row_is_multiplied_and_shifted(d1, d2, affine, normal):
    made, x = affine(d1, d2), normal(4, d1)
    expected = [
        [sum(row[i] * made.weight[i, j] for i in range(d1)) + made.bias[j] for j in range(d2)] for row in x
    ]
    torch.testing.assert_close(made(x), torch.tensor(expected, dtype=torch.float64))
    assert made.dims == (d1, d2)


@pytest.mark.parametrize(("d1", "d2", "d3"), [(4, 4, 4), (2, 5, 3), (5, 1, 4)])
def test_two_hops_are_one_map(d1, d2, d3, affine, normal):
    first, second, x = affine(d1, d2), affine(d2, d3), normal(6, d1)
    both = first.then(second)
    assert both.dims == (d1, d3)
    torch.testing.assert_close(both(x), second(first(x)))


def test_three_hops_are_grouped_as_one_likes(affine, normal):
    a, b, c, x = affine(2, 5), affine(5, 3), affine(3, 4), normal(6, 2)
    torch.testing.assert_close(a.then(b).then(c)(x), a.then(b.then(c))(x))


def test_a_hop_that_does_nothing_changes_nothing(affine, normal):
    made, still, x = affine(3, 3), Affine(torch.eye(3).double(), torch.zeros(3).double()), normal(6, 3)
    torch.testing.assert_close(made.then(still)(x), made(x))
    torch.testing.assert_close(still.then(made)(x), made(x))


def test_hops_of_different_widths_do_not_join(affine):
    with pytest.raises(DimensionMismatch, match="second map takes 4") as caught:
        affine(2, 3).then(affine(4, 2))
    assert caught.value.facts == {"expected": 4, "got": 3}
