"""`anchorage demo`: the main job on input that every machine has."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.demo import images, text
from app.demo.measure import MEASURES, Comparison, compare, fitted_to
from app.demo.server import Client, Vectors, running_server

TEXT_ANCHORS, IMAGE_ANCHORS = 600, 300
TRAINING_IMAGES = 700
QUERIES = 500
SHOWN = 3
INDEXED = "chars"  # the encoder whose collection answers the questions


def run() -> None:
    """Start a server, go through text and images, print the table, stop the server."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped then, too
    console = Console(highlight=False)
    started = time.monotonic()
    console.print("  starting a server on a free port …")
    with running_server() as client:
        demo = Demo(console, client)
        comparisons = [*demo.text(), *demo.images()]
    for measure in MEASURES:
        console.print(table(comparisons, measure))
    console.print(f"\nDone in {time.monotonic() - started:.0f} s; the server is stopped.")
    console.print("Next: `make serve`, and README's first calls.")


class Demo:
    """Two jobs over one server; everything it does is said on the console."""

    def __init__(self, console: Console, client: Client) -> None:
        self.console, self.client = console, client

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Says what is going on, and how long it took."""
        started = time.monotonic()
        self.console.print(f"  {what} …", end="")
        yield
        self.console.print(f" {time.monotonic() - started:.1f} s")

    def text(self) -> list[Comparison]:
        self.console.rule("Text: three encoders of the standard library's documentation")
        with self.step("reading the documentation strings of the standard library"):
            sentences = text.sentences()
            texts = [sentence.text for sentence in sentences]
        with self.step(f"fitting three independent encoders on {len(texts)} sentences"):
            encoders = {name: make().fit(texts) for name, make in text.ENCODERS.items()}
            spaces = {name: encoder.encode(texts) for name, encoder in encoders.items()}
        payloads = [{"text": sentence.text, "label": sentence.module} for sentence in sentences]
        self.register(spaces, TEXT_ANCHORS, TEXT_ANCHORS, payloads)
        questions = {name: encoder.encode(text.QUESTIONS) for name, encoder in encoders.items()}
        for source in spaces:
            if source != INDEXED:
                self.ask(source, questions[source], spaces[INDEXED].shape[1])
                self.show_report(source)
        return self.measure(spaces, TEXT_ANCHORS, [payload["label"] for payload in payloads])

    def images(self) -> list[Comparison]:
        self.console.rule("Images: two networks trained on handwritten digits")
        pictures, labels = images.digits()
        spaces = {}
        for name, make in images.ENCODERS.items():
            with self.step(f"training the {name} on {TRAINING_IMAGES} images"):
                encoder = make().fit(pictures[:TRAINING_IMAGES], labels[:TRAINING_IMAGES])
                spaces[name] = encoder.encode(pictures)
        payloads = [{"label": int(label)} for label in labels]
        self.register(spaces, IMAGE_ANCHORS, TRAINING_IMAGES, payloads)
        return self.measure(spaces, TRAINING_IMAGES, labels.tolist())

    def register(self, spaces: dict[str, Vectors], anchors: int, first: int, payloads: list[Any]) -> None:
        """The first `anchors` items are shared anchors; those from `first` on fill a collection of each space."""
        ids = [str(number) for number in range(len(payloads))]
        for name, vectors in spaces.items():
            with self.step(
                f"space {name}: {vectors.shape[1]} dimensions, {anchors} anchors, {len(ids) - first} stored points"
            ):
                self.client.put_space(name, ids[:anchors], vectors[:anchors])
                self.client.put_collection(name, name, ids[first:], vectors[first:], payloads[first:])

    def ask(self, source: str, questions: Vectors, width: int) -> None:
        """The collection of INDEXED, asked in vectors of `source`: translated, then as they are."""
        self.console.print(f"\n[bold]Questions encoded by {source}, answered by an index of {INDEXED}[/bold]")
        translated = self.client.search(INDEXED, questions, SHOWN, space=source)
        swapped = self.client.search(INDEXED, fitted_to(questions, width), SHOWN)
        for question, good, naive in zip(text.QUESTIONS, translated, swapped, strict=True):
            self.console.print(f"\n  {question}")
            for name, hits in (("translated", good), ("untranslated", naive)):
                for hit in hits:
                    line = (
                        f"    {name:<12} {hit['score']:.2f}  {hit['payload']['label']}: {hit['payload']['text']}"
                    )
                    self.console.print(line, no_wrap=True, overflow="ellipsis", markup=False)

    def show_report(self, source: str) -> None:
        report = self.client.ask("GET", f"/v1/translators/{source}-to-{INDEXED}-search")["report"]
        self.console.print(
            f"\n  Report of {source}-to-{INDEXED}-search: auto chose {report['method']} on {report['anchors']} "
            "anchors.\n"
            f"  Each held-out anchor was looked for among {report['gallery']}; 95 % intervals:"
        )
        for name, value in report["quality"].items():
            interval = f"{value['mean']:6.3f}  ({value['low']:.3f} to {value['high']:.3f})"
            naive = report["baselines"]["untranslated"][name]["mean"]
            self.console.print(f"    {name:<14} {interval}   untranslated {naive:6.3f}")

    def measure(self, spaces: dict[str, Vectors], first: int, labels: list[Any]) -> list[Comparison]:
        rows = slice(first, first + QUERIES)
        queries = {name: vectors[rows] for name, vectors in spaces.items()}
        ids = [str(number) for number in range(first, first + QUERIES)]
        with self.step(f"measuring every pair with {QUERIES} queries"):
            return [
                compare(self.client, source, target, queries, ids, labels[rows])
                for source, target in permutations(spaces, 2)
            ]


def table(comparisons: list[Comparison], measure: str) -> Table:
    """One row a pair; retention is the share of the native figure that is kept."""
    page = Table(title=f"\n{MEASURES[measure]}", title_justify="left", box=SIMPLE_HEAD)
    page.add_column("queries → collection", no_wrap=True)
    for heading in ("native", "translated", "untranslated", "retention"):
        page.add_column(heading, justify="right")
    for row in comparisons:
        native, translated, naive = (
            getattr(way, measure) for way in (row.native, row.translated, row.untranslated)
        )
        figures = [f"{figure:.3f}" for figure in (native, translated, naive)]
        page.add_row(f"{row.source} → {row.target}", *figures, f"{translated / native:.0%}")
    return page
