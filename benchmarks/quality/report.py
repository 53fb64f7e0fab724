"""The summary as markdown: tables, where we lose, and the targets."""

from collections.abc import Callable, Iterator

from benchmarks.quality import targets
from benchmarks.quality.data import spaces
from benchmarks.quality.peers import MAPS, RETRIEVAL
from benchmarks.quality.summary import Compared, Table
from benchmarks.quality.task import HINDSIGHT

TITLES = {
    "mrr": "Retrieval: MRR of a test row's own counterpart",
    "class_hit": "Retrieval across modalities: the nearest is of the same class",
    "accuracy": "Stitching: accuracy of the target's head on translated test rows",
}


def markdown(tables: list[Table], note: str) -> str:
    parts = ["# Translation quality", note]
    for metric, title in TITLES.items():
        chosen = [table for table in tables if table.metric == metric]
        if chosen:
            parts += [f"## {title}", means(chosen)]
    served = [table for table in tables if table.ours != f"us {HINDSIGHT}"]
    parts += ["## Targets", verdicts(served), "## Pairs below the best peer", losses(served)]
    return "\n\n".join(parts) + "\n"


def means(tables: list[Table]) -> str:
    """`best peer` is the best of every pair with hindsight; `worst` the pair with the least of ours less it."""
    peers = MAPS if tables[0].metric == "accuracy" else RETRIEVAL
    head = ["file", "n", "pairs", "draws", "objective", "us", "best peer", "worst", "of pair", "below", *peers]
    return grid(head, [mean_row(table, peers) for table in tables])


def mean_row(table: Table, peers: list[str]) -> list[str]:
    draws = sorted({pair.draws for pair in table.pairs})
    return [
        table.file,
        str(table.anchors),
        str(len(table.pairs)),
        "-".join(map(str, dict.fromkeys((draws[0], draws[-1])))),
        table.ours[3:],
        f"**{table.us:.3f}**",
        f"{table.hindsight:.3f}",
        f"{table.worst.gain:+.3f}",
        arrow(table.worst),
        str(len(table.below)),
        *(f"{table.peer(name):.3f}" for name in peers),
    ]


def losses(tables: list[Table]) -> str:
    head = ["file", "pair", "n", "metric", "objective", "us", "best peer", "it is", "less", "chosen (score)"]
    rows = [loss_row(table, pair) for table in tables for pair in table.below]
    return grid(head, rows) if rows else f"None by more than {targets.SLACK}."


def loss_row(table: Table, pair: Compared) -> list[str]:
    figures = [f"{pair.us:.3f}", f"{pair.values[pair.best]:.3f}", pair.best, f"{pair.gain:+.3f}", pair.chosen]
    return [table.file, arrow(pair), str(table.anchors), table.metric, table.ours[3:], *figures]


def arrow(pair: Compared) -> str:
    return " → ".join(pair.pair)


# targets


def verdicts(tables: list[Table]) -> str:
    rows = [*mean_verdicts(tables), *floor_verdicts(tables), *few_verdicts(tables)]
    return grid(["target", "of", "wanted", "reached", ""], rows) if rows else "Nothing measured yet."


def mean_verdicts(tables: list[Table]) -> Iterator[list[str]]:
    """Of stitching, the better objective counts; a mean over some of the pairs only proves nothing."""
    for metric, wanted in (("mrr", targets.MRR), ("accuracy", targets.ACCURACY)):
        for file, least in wanted.items():
            found = [t for t in tables if (t.file, t.metric, t.anchors) == (file, metric, targets.ANCHORS)]
            if found:
                best = max(found, key=lambda table: table.us)
                title = f"mean {metric}, {targets.ANCHORS} anchors, {best.ours[3:]}"
                whole = len(best.pairs) == len(spaces(file).pairs)
                result = verdict(best.us >= least) if whole else f"of {len(best.pairs)} pairs only"
                yield [title, file, f"{least:.3f}", f"{best.us:.3f}", result]


def floor_verdicts(tables: list[Table]) -> Iterator[list[str]]:
    """No pair more than SLACK below: the best peer in retrieval, leave-one-out ridge in stitching."""
    yield from floors([t for t in tables if t.metric != "accuracy"], "best peer", lambda pair: pair.gain)
    for ours in dict.fromkeys(t.ours for t in tables if t.metric == "accuracy"):
        yield from floors([t for t in tables if t.ours == ours], targets.RIDGE, lambda pair: pair.over_ridge)


def floors(tables: list[Table], above: str, gain: Callable[[Compared], float]) -> Iterator[list[str]]:
    for anchors in sorted({t.anchors for t in tables}):
        gains = [gain(pair) for t in tables if t.anchors == anchors for pair in t.pairs]
        low = sum(g < -targets.SLACK for g in gains)
        reached = f"{min(gains):+.3f}, {low} of {len(gains)} pairs below"
        title = f"worst pair less {above}, {tables[0].ours[3:]}"
        yield [title, f"{anchors} anchors", f"{-targets.SLACK:+.3f}", reached, verdict(low == 0)]


def few_verdicts(tables: list[Table]) -> Iterator[list[str]]:
    """Of pairs with identity signal only."""
    strong = with_signal(tables)
    for table in tables:
        pairs = [pair for pair in table.pairs if (table.file, pair.pair) in strong]
        if table.metric == "mrr" and table.anchors == targets.FEW and pairs:
            theirs = [max(pair.values[name] for name in targets.PLAIN) for pair in pairs]
            times = sum(pair.us for pair in pairs) / sum(theirs)
            reached = sum(pair.us >= targets.TIMES * peer for pair, peer in zip(pairs, theirs, strict=True))
            figures = f"{times:.2f} times in the mean, {reached} of {len(pairs)} pairs"
            title = f"MRR beside the best plain peer's, {targets.FEW} anchors"
            yield [title, table.file, f"{targets.TIMES:g} times", figures, verdict(reached == len(pairs))]


def with_signal(tables: list[Table]) -> set[tuple[str, tuple[str, str]]]:
    most: dict[str, int] = {}
    for table in tables:
        most[table.file] = max(table.anchors, most.get(table.file, 0))
    last = [t for t in tables if t.metric == "mrr" and t.anchors == most[t.file]]
    return {(t.file, p.pair) for t in last for p in t.pairs if max(p.values.values()) >= targets.SIGNAL}


def verdict(good: bool) -> str:
    return "pass" if good else "FAIL"


def grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
