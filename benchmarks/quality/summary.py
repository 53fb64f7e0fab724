"""From single figures to means over draws, pairs and files, ours beside the peers'."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from benchmarks.quality.data import Pair
from benchmarks.quality.targets import RIDGE, SLACK
from benchmarks.quality.task import Line

Draws = dict[int, dict[str, Line]]  # by draw and method


@dataclass(frozen=True)
class Compared:
    """One pair, means over the draws that both we and the peers have."""

    pair: Pair
    draws: int
    values: dict[str, float]  # by method
    ours: str
    chosen: str  # what we took most often, with its score

    @property
    def us(self) -> float:
        return self.values[self.ours]

    @property
    def best(self) -> str:
        """The best peer, with hindsight."""
        return max((m for m in self.values if not m.startswith("us ")), key=self.values.__getitem__)

    @property
    def gain(self) -> float:
        """Ours less the best peer's."""
        return self.us - self.values[self.best]

    @property
    def over_ridge(self) -> float:
        """Ours less leave-one-out ridge's."""
        return self.us - self.values[RIDGE]


@dataclass(frozen=True)
class Table:
    """All pairs of a file at one number of anchors, of one metric and one objective of ours."""

    file: str
    anchors: int
    metric: str
    ours: str
    pairs: list[Compared]

    @property
    def us(self) -> float:
        return fmean(pair.us for pair in self.pairs)

    @property
    def hindsight(self) -> float:
        return fmean(pair.values[pair.best] for pair in self.pairs)

    @property
    def worst(self) -> Compared:
        return min(self.pairs, key=lambda pair: pair.gain)

    @property
    def below(self) -> list[Compared]:
        return sorted((pair for pair in self.pairs if pair.gain < -SLACK), key=lambda pair: pair.gain)

    def peer(self, name: str) -> float:
        return fmean(pair.values[name] for pair in self.pairs)


def tables(lines: Iterable[Line]) -> list[Table]:
    """By metric, file, anchors and objective; a table without pairs is left out."""
    cells: dict[tuple[str, str, int], dict[Pair, Draws]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for line in lines:
        cells[line.metric, line.file, line.anchors][line.source, line.target][line.draw][line.method] = line
    found = []
    for metric, file, anchors in sorted(cells):
        pairs = cells[metric, file, anchors]
        methods = {m for draws in pairs.values() for found_here in draws.values() for m in found_here}
        for ours in sorted(m for m in methods if m.startswith("us ")):
            rows = [compared(pair, draws, ours) for pair, draws in pairs.items()]
            found.append(Table(file, anchors, metric, ours, [row for row in rows if row]))
    return [table for table in found if table.pairs]


def compared(pair: Pair, draws: Draws, ours: str) -> Compared | None:
    both = [found for found in draws.values() if ours in found and RIDGE in found]
    if not both:
        return None
    methods = [m for m in both[0] if m == ours or not m.startswith("us ")]
    chosen = Counter(f"{found[ours].chosen} ({found[ours].score})" for found in both).most_common(1)[0][0]
    values = {m: fmean(found[m].value for found in both) for m in methods}
    return Compared(pair, len(both), values, ours, chosen)
