"""The summary as markdown: our tables, the papers' own, and the targets."""

from collections.abc import Iterator

from benchmarks.quality.data import spaces
from benchmarks.quality.report import grid
from benchmarks.stitching import decoders, targets
from benchmarks.stitching.papers import REPORTED
from benchmarks.stitching.summary import Table
from benchmarks.stitching.task import CHOSEN, CODES, LABELLED

OURS, RELATIVE = f"us {CHOSEN}", f"relative {CHOSEN}"
COSINE = f"relative {next(iter(CODES))}"
TITLES = {
    "accuracy": "Accuracy of the target's classifier on the source's vectors",
    "mse": "Images decoded from the source's vectors: mean squared error, pixels in [0, 1]",
}
ABOUT = (
    f"`relative` heads are fitted over HTTP, on codes of at most {LABELLED} labelled train rows of the target, "
    "and run on codes of the source; the native heads were trained on all training data. `chosen` is that of "
    "ours, or of the codes, which does best on held-out anchors, as `evaluate` tells a user: no test row has a "
    "say. `source probe` is a classifier fitted on the true labels of the anchors alone, `us hindsight` the best "
    "of all maps that are tried, by the test rows: what can be hoped for."
)


def markdown(tables: list[Table], note: str) -> str:
    parts = ["# Stitching", f"{note} {ABOUT}"]
    for metric, title in TITLES.items():
        chosen = [table for table in tables if table.metric == metric]
        if chosen:
            parts += [f"## {title}", means(chosen)]
    parts += ["## The papers' own figures: other data, other encoders", reported()]
    return "\n\n".join([*parts, "## Targets", verdicts(tables)]) + "\n"


def means(tables: list[Table]) -> str:
    """Of classifiers, what of the native accuracy is kept stands in brackets."""
    methods = tables[0].methods
    rows = [[t.file, *map(str, (t.anchors, len(t.pairs), t.draws)), *cells(t, methods)] for t in tables]
    return grid(["file", "n", "pairs", "draws", *methods], rows)


def cells(table: Table, methods: list[str]) -> Iterator[str]:
    for method in methods:
        if table.metric == "accuracy" and method != "native":
            yield f"{table.mean(method):.3f} ({table.retention(method):.3f})"
        else:
            yield f"{table.mean(method):.4f}"


def reported() -> str:
    """Percent, and in brackets the share of the native figure."""
    rows = []
    for row in REPORTED:
        stitched = [share(row.stitched.get(name), row.native) for name in ("relative", "affine", "ortho")]
        rows.append([row.paper, row.data, f"{row.native:.1f}", share(row.unstitched, row.native), *stitched])
    return grid(["paper", "data", "native", "unstitched", "relative", "affine", "ortho"], rows)


def share(value: float | None, native: float) -> str:
    return "" if value is None else f"{value:.1f} ({value / native:.3f})"


# targets


def verdicts(tables: list[Table]) -> str:
    at = [table for table in tables if table.anchors == targets.ANCHORS]
    accuracy = [table for table in at if table.metric == "accuracy" and table.file in targets.FILES]
    rows = [*retentions(accuracy), *relatives(accuracy), *images([table for table in at if table.metric == "mse"])]
    return grid(["target", "of", "wanted", "reached", ""], rows) if rows else "Nothing measured yet."


def retentions(tables: list[Table]) -> Iterator[list[str]]:
    for table in tables:
        reached, wanted = table.retention(OURS), targets.RETENTION
        title = f"mean retention, {targets.ANCHORS} anchors, {OURS}"
        yield [title, table.file, f">= {wanted}", f"{reached:.4f}", judged(table, reached >= wanted)]


def relatives(tables: list[Table]) -> Iterator[list[str]]:
    for table in tables:
        points = table.mean(RELATIVE) - table.mean(COSINE)
        title = f"{RELATIVE} less {COSINE}, {targets.ANCHORS} anchors"
        wanted = f">= {100 * targets.POINTS:.0f} points"
        yield [title, table.file, wanted, f"{100 * points:.1f}", judged(table, points >= targets.POINTS)]


def images(tables: list[Table]) -> Iterator[list[str]]:
    for table in tables:
        gaps = table.over(OURS, targets.RIDGE)
        gap, pair = gaps[-1]
        above = sum(gap > 0 for gap, _ in gaps)
        reached = f"{above} of {len(gaps)} pairs above; the worst, {' → '.join(pair)}, by {gap:+.5f}"
        title = f"image error less that of {targets.RIDGE}, {targets.ANCHORS} anchors, {OURS}"
        yield [title, table.file, "<= 0 on every pair", reached, judged(table, above == 0)]


def verdict(good: bool) -> str:
    return "reached" if good else "NOT REACHED"


def judged(table: Table, good: bool) -> str:
    """Some of the pairs alone prove nothing."""
    ending = spaces(table.file).heads if table.metric == "accuracy" else decoders.NAMES
    every = [pair for pair in spaces(table.file).pairs if pair[1] in ending]
    of = "" if len(table.pairs) == len(every) else f", by {len(table.pairs)} of {len(every)} pairs only"
    return verdict(good) + of
