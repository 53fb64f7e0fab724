"""Linear heads that are learned here: logistic or ridge regression, with a penalty that held-out rows choose.

With z = (x - mean) / spread, one spread for all axes, both minimise  mean loss + λ/2 ‖W‖²  for each of PENALTIES.
The strongest within one standard error of the best wins (Breiman et al. 1984, 3.4.3). The figures of a fold are
those of the penalty that the *other* folds choose, so the choice does not flatter them.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from models.errors import TooFewAnchors
from models.grades import Grades, of_labels, of_values
from models.heads import LinearHead
from models.measures import Estimate

PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4)  # strong to weak
FOLDS = 5
TRIED = 5000  # rows that choose the penalty; the head is then fitted on all
ITERATIONS = 200
ROUGH, FINE = 1e-4, 1e-6  # gradients at which a descent ends: of the folds, and of the head that is given out
FEW = 30  # held-out rows below which an interval is rough
RESOLUTION = 1e-6  # spread, as a share of the largest number, below which vectors do not vary
ABSENT = -30.0  # logit of a label that none of the rows has which a fold is fitted on

Matrix = NDArray[np.float64]
Solution = tuple[Matrix, Matrix]  # weight (c, d), bias (c,)


@dataclass(frozen=True)
class HeadReport:
    """What was measured on held-out rows; the baseline answers with the commonest label, or the mean."""

    task: str
    items: int
    held_out: int
    folds: int
    penalty: float
    quality: Mapping[str, Estimate]
    baseline: Mapping[str, Estimate]
    warnings: list[str]


class Task(ABC):
    """What is to be answered for each of n rows."""

    name: ClassVar[str]
    activation: ClassVar[str]
    truth: Tensor
    outputs: int

    @abstractmethod
    def path(self, z: Matrix, rows: Tensor, penalties: Sequence[float], tolerance: float) -> Iterator[Solution]:
        """z (m, d) of `rows` (m,): a solution for each penalty; one may begin at that before."""

    @abstractmethod
    def constant(self, rows: Tensor) -> Tensor:
        """The answer (c,) that suits `rows` best without looking at any."""

    @abstractmethod
    def losses(self, answers: Tensor, rows: Tensor) -> Tensor:
        """answers (m, c) for `rows` (m,) -> (m,)"""

    @abstractmethod
    def grades(self, answers: Tensor, rows: Tensor) -> Grades:
        """answers (m, c) for `rows` (m,)"""

    def dealt(self, rows: Tensor) -> Tensor:
        """`rows` in the order in which folds take turns with them."""
        return rows


class Classification(Task):
    """One of c labels: truth (n,) of their numbers."""

    name: ClassVar[str] = "classification"
    activation: ClassVar[str] = "softmax"

    def __init__(self, truth: Tensor, labels: int) -> None:
        self.truth, self.outputs = truth, labels

    def path(self, z: Matrix, rows: Tensor, penalties: Sequence[float], tolerance: float) -> Iterator[Solution]:
        known = np.unique(self.truth[rows].numpy())
        if len(known) == 1:
            yield from [(np.zeros((self.outputs, z.shape[1])), self.constant(rows).numpy())] * len(penalties)
            return
        model = LogisticRegression(max_iter=ITERATIONS, warm_start=True, tol=tolerance)
        for penalty in penalties:
            model.set_params(C=1 / (penalty * len(z)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(z, self.truth[rows].numpy())
            weight, bias = np.zeros((self.outputs, z.shape[1])), np.full(self.outputs, ABSENT)
            two = len(known) == 2  # of two labels the model has the logit of the second
            weight[known], bias[known] = two_sided(model) if two else (model.coef_, model.intercept_)
            yield weight, bias

    def constant(self, rows: Tensor) -> Tensor:
        shown = one_hot(self.truth[rows], self.outputs).sum(0)
        return torch.where(shown == shown.max(), 0.0, ABSENT).double()

    def losses(self, answers: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(answers, self.truth[rows], reduction="none")

    def grades(self, answers: Tensor, rows: Tensor) -> Grades:
        return of_labels(answers.argmax(1), self.truth[rows])

    def dealt(self, rows: Tensor) -> Tensor:
        """Label by label, so that every fold has its share of each."""
        return rows[self.truth[rows].argsort(stable=True)]


class Regression(Task):
    """c values: truth (n, c)."""

    name: ClassVar[str] = "regression"
    activation: ClassVar[str] = "none"

    def __init__(self, truth: Tensor) -> None:
        self.truth, self.outputs = truth.double(), truth.shape[1]

    def path(self, z: Matrix, rows: Tensor, penalties: Sequence[float], tolerance: float) -> Iterator[Solution]:  # noqa: ARG002
        for penalty in penalties:
            model = Ridge(alpha=penalty * len(z)).fit(z, self.truth[rows].numpy())
            yield model.coef_.reshape(self.outputs, -1), np.reshape(model.intercept_, self.outputs)

    def constant(self, rows: Tensor) -> Tensor:
        return self.truth[rows].mean(0)

    def losses(self, answers: Tensor, rows: Tensor) -> Tensor:
        return (answers - self.truth[rows]).square().sum(1)

    def grades(self, answers: Tensor, rows: Tensor) -> Grades:
        return of_values(answers, self.truth[rows])


def fit_head(x: Tensor, task: Task, seed: int = 0) -> tuple[LinearHead, HeadReport]:
    """x (n, d), n >= 2. TooFewAnchors; InvalidHead where single precision does not hold it."""
    if len(x) < 2:
        raise TooFewAnchors(f"a head is fitted on at least 2 items, got {len(x)}", expected=2, got=len(x))
    x = x.double()
    mean, spread = x.mean(0), spread_of(x)
    z = (x - mean) / spread
    rows = task.dealt(torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:TRIED])
    folds = min(FOLDS, len(rows))
    fold_of = torch.arange(len(rows)) % folds
    answers, constants = held_out(z, task, rows, fold_of)
    losses = torch.stack([task.losses(of_penalty, rows) for of_penalty in answers])  # (penalties, m)
    tried = PENALTIES[: strongest(losses) + 1]
    *_, solution = task.path(z.numpy(), torch.arange(len(x)), tried, FINE)
    weight, bias = map(torch.from_numpy, solution)
    quality, baseline = task.grades(cross_fitted(answers, losses, fold_of), rows), task.grades(constants, rows)
    notes = cautions(quality, baseline, len(rows))
    report = HeadReport(task.name, len(x), len(rows), folds, tried[-1], quality, baseline, notes)
    parts = {"weight": (weight / spread).float(), "bias": (bias - weight @ mean / spread).float()}
    return LinearHead.of_parts(task.activation, parts), report


def spread_of(x: Tensor) -> Tensor:
    """Root of the mean variance of the axes of x (n, d), or so much as single precision cannot tell from none."""
    least = RESOLUTION * x.abs().max()
    return x.std(0, correction=0).square().mean().sqrt().clamp(min=least if least > 0 else 1.0)


def held_out(z: Tensor, task: Task, rows: Tensor, fold_of: Tensor) -> tuple[Tensor, Tensor]:
    """Of `rows` (m,) the answers (penalties, m, c) of what was fitted without their fold, and constants (m, c)."""
    answers = torch.empty(len(PENALTIES), len(rows), task.outputs, dtype=z.dtype)
    constants = torch.empty(len(rows), task.outputs, dtype=z.dtype)
    for fold in range(int(fold_of.max()) + 1):
        train, held = rows[fold_of != fold], fold_of == fold
        constants[held] = task.constant(train)
        for number, (weight, bias) in enumerate(task.path(z[train].numpy(), train, PENALTIES, ROUGH)):
            answers[number, held] = z[rows[held]] @ torch.from_numpy(weight.T) + torch.from_numpy(bias)
    return answers, constants


def cross_fitted(answers: Tensor, losses: Tensor, fold_of: Tensor) -> Tensor:
    """(penalties, m, c) -> (m, c): each fold's by the penalty that the other folds choose."""
    crossed = torch.empty_like(answers[0])
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        crossed[held] = answers[strongest(losses[:, ~held]), held]
    return crossed


def strongest(losses: Tensor) -> int:
    """losses (penalties, m), strong to weak: the first within one standard error of the best.

    What is fitted to one space is run on translated vectors and codes of others, which stray from it.
    """
    excess = losses - losses[losses.mean(1).argmin()]
    good = excess.mean(1) <= excess.std(1, correction=0) / losses.shape[1] ** 0.5
    return int(good.nonzero()[0])


def cautions(quality: Grades, baseline: Grades, held_out: int) -> list[str]:
    """What a reader of the figures should not overlook."""
    figure = next(iter(quality))  # accuracy, or R²
    findings = {
        f"only {held_out} items were held out: the intervals are rough": held_out < FEW,
        f"{figure} is not shown to be better than that of answering without looking": (
            quality[figure].low <= baseline[figure].mean
        ),
    }
    return [text for text, found in findings.items() if found]


def two_sided(model: LogisticRegression) -> Solution:
    """Of two labels scikit-learn keeps the logit of the second: that of the first is 0."""
    return np.vstack([0 * model.coef_, model.coef_]), np.append(0.0, model.intercept_)
