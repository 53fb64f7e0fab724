"""From single figures to means over draws and pairs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from benchmarks.quality.data import Pair
from benchmarks.quality.task import Line


@dataclass(frozen=True)
class Table:
    """The pairs of a file at one number of anchors, by one metric: for each the mean over the draws, by method."""

    metric: str
    file: str
    anchors: int
    draws: int
    pairs: dict[Pair, dict[str, float]]

    @property
    def methods(self) -> list[str]:
        return list(next(iter(self.pairs.values())))

    def mean(self, method: str) -> float:
        return fmean(values[method] for values in self.pairs.values())

    def retention(self, method: str) -> float:
        """What is kept of the native figure, mean over the pairs."""
        return fmean(values[method] / values["native"] for values in self.pairs.values())

    def over(self, method: str, other: str) -> list[tuple[float, Pair]]:
        """By pair how much larger the figure of `method` is, ascending."""
        return sorted((values[method] - values[other], pair) for pair, values in self.pairs.items())


def tables(lines: Iterable[Line]) -> list[Table]:
    """By metric, file and anchors."""
    cells: dict[tuple[str, str, int], dict[Pair, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for line in lines:
        cells[line.metric, line.file, line.anchors][line.source, line.target][line.method].append(line.value)
    return [table(*key, cells[key]) for key in sorted(cells)]


def table(metric: str, file: str, anchors: int, pairs: dict[Pair, dict[str, list[float]]]) -> Table:
    draws = max(len(values) for found in pairs.values() for values in found.values())
    means = {pair: {method: fmean(values) for method, values in found.items()} for pair, found in pairs.items()}
    return Table(metric, file, anchors, draws, means)
