"""How good a head's answers are beside the truth, every figure with a 95 % interval."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from models.measures import RESAMPLES, Estimate, average, one_minus_ratio, proportion

AT_ONCE = 50  # resamples that are held in memory

Grades = dict[str, Estimate]
Matrix = NDArray[np.float64]


def of_labels(answers: Tensor, truth: Tensor, seed: int = 0) -> Grades:
    """answers, truth (n,): the numbers of labels."""
    return {"accuracy": proportion((answers == truth).double()), "macro_f1": macro_f1(answers, truth, seed)}


def of_values(answers: Tensor, truth: Tensor, seed: int = 0) -> Grades:
    """answers, truth (n, ...) with n >= 2: R² of all outputs together, MSE as their mean."""
    answers, truth = answers.flatten(1).double(), truth.flatten(1).double()
    errors, spread = (answers - truth).square(), (truth - truth.mean(0)).square()
    return {"r2": one_minus_ratio(errors.sum(1), spread.sum(1), seed), "mse": average(errors.mean(1))}


def macro_f1(answers: Tensor, truth: Tensor, seed: int) -> Estimate:
    """The mean F1 of the labels that occur, with its percentile bootstrap interval (Efron 1979).

    Drawing rows again is drawing the counts of their cells of the confusion matrix again.
    """
    pairs = np.stack([answers.numpy(), truth.numpy()])
    cells, counts = np.unique(pairs, axis=1, return_counts=True)  # (2, k), (k,)
    random, share = np.random.default_rng(seed), counts / counts.sum()
    parts = (random.multinomial(counts.sum(), share, AT_ONCE) for _ in range(RESAMPLES // AT_ONCE))
    low, high = np.quantile(np.concatenate([mean_f1(part, cells) for part in parts]), [0.025, 0.975])
    return Estimate(float(mean_f1(counts[None], cells)[0]), float(low), float(high))


def mean_f1(counts: NDArray[np.int64], cells: NDArray[np.int64]) -> Matrix:
    """counts (r, k) of cells (2, k), an answer and a truth each -> (r,), over the labels that either has."""
    labels, places = np.unique(cells, return_inverse=True)
    shape, cell = (cells.shape[1], len(labels)), np.arange(cells.shape[1])
    answered, true = (csr_array((np.ones(len(cell)), (cell, place)), shape) for place in places.reshape(2, -1))
    either, both = counts @ (answered + true), counts @ (answered * true)  # (r, c) each
    f1 = np.divide(2 * both, either, out=np.full_like(either, np.nan), where=either > 0)
    mean: Matrix = np.nanmean(f1, axis=1)
    return mean
