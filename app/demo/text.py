"""Sentences every Python installation carries, and three encoders that share nothing but the sentences."""

import ast
import random
import re
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline

QUESTIONS: tuple[str, ...] = (
    "How do I open a compressed file?",
    "How can I parse command line arguments?",
    "How do I copy a directory tree?",
    "How are cookies returned to a server?",
)
STDLIB = Path(sysconfig.get_path("stdlib"))
SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages"}
WORDS_IN_A_SENTENCE = range(6, 61)


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the module that it documents."""

    text: str
    module: str


def sentences() -> list[Sentence]:
    """The distinct docstring sentences of the standard library, shuffled the same way every time."""
    distinct: dict[str, Sentence] = {}
    for path in sorted(STDLIB.rglob("*.py")):
        for text in prose(path):
            distinct.setdefault(fingerprint(text), Sentence(text, module_of(path)))
    return random.Random(0).sample(list(distinct.values()), len(distinct))  # noqa: S311


def module_of(path: Path) -> str:
    # _pydecimal and _pyio are decimal and io, written in Python
    return path.relative_to(STDLIB).parts[0].removesuffix(".py").removeprefix("_py").strip("_")


def prose(path: Path) -> Iterator[str]:
    """The first two paragraphs of each docstring, or their first sentence where the rest is no prose."""
    for docstring in docstrings(path):
        for paragraph in re.split(r"\n\s*\n", docstring)[:2]:
            whole = " ".join(paragraph.split())
            first = re.split(r"(?<=[.!?]) (?=[A-Z])", whole)[0]
            yield from [text for text in (whole, first) if reads_as_prose(text)][:1]


def docstrings(path: Path) -> Iterator[str]:
    """Every docstring of a source file, which is parsed and never run; none if it does not parse."""
    if SKIPPED_FOLDERS.intersection(path.relative_to(STDLIB).parts):
        return
    with suppress(SyntaxError, ValueError):
        for node in statements(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """As ast.walk gives them, but not the expressions: most of a tree, and without docstrings."""
    nodes: deque[ast.AST] = deque([tree])
    while nodes:
        yield (node := nodes.popleft())
        inner = ast.iter_child_nodes(node)
        nodes.extend(child for child in inner if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case))


def reads_as_prose(text: str) -> bool:
    symbols = len(re.findall(r"""[^\w\s.,'"()-]""", text))
    closed = re.fullmatch(r"[A-Z].*[.!?]", text) is not None and ">>>" not in text
    return closed and symbols < 0.05 * len(text) and len(text.split()) in WORDS_IN_A_SENTENCE


def fingerprint(text: str) -> str:
    """Equal for sentences that differ in case, punctuation, digits or small words only."""
    return " ".join(re.findall(r"[a-z]{4,}", text.lower()))


class TermEncoder:
    """Terms, which are whatever `terms` counts, weighted by TF-IDF and reduced to `width` by SVD."""

    def __init__(self, terms: CountVectorizer | HashingVectorizer, width: int, seed: int) -> None:
        self.terms, self.width, self.seed = terms, width, seed

    def fit(self, texts: Sequence[str]) -> Self:
        reduction = TruncatedSVD(self.width, random_state=self.seed)
        self.pipeline_ = make_pipeline(self.terms, TfidfTransformer(), reduction)
        self.mean_ = self.pipeline_.fit_transform(texts).mean(axis=0)  # (width,)
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return unit_rows(self.pipeline_.transform(texts), self.mean_)


class CooccurrenceEncoder:
    """The company words keep: PPMI word vectors, summed over the words of a text with IDF weights."""

    def __init__(self, width: int, seed: int, window: int = 5) -> None:
        self.width, self.seed, self.window = width, seed, window

    def fit(self, texts: Sequence[str]) -> Self:
        self.words_ = CountVectorizer(stop_words="english").fit(texts)
        counts = self.words_.transform(texts)  # (n, words)
        reduction = TruncatedSVD(self.width, random_state=self.seed)
        vectors = reduction.fit_transform(positive_information(self.neighbours(texts)))
        idf = TfidfTransformer().fit(counts).idf_
        self.vectors_ = idf[:, None] * vectors / np.sqrt(reduction.singular_values_)  # (words, width)
        self.mean_ = (counts @ self.vectors_).mean(axis=0)  # (width,)
        return self

    def neighbours(self, texts: Sequence[str]) -> csr_array:
        """How often each word stands within `window` words of each other word: (words, words)."""
        split, number = self.words_.build_analyzer(), self.words_.vocabulary_
        known = [(place, number[word]) for place, text in enumerate(texts) for word in split(text)]
        place, word = np.array(known).T
        counts = csr_array((len(number), len(number)))
        for step in range(1, self.window + 1):
            together = place[:-step] == place[step:]
            pairs = word[:-step][together], word[step:][together]
            counts += coo_array((np.ones(together.sum()), pairs), shape=counts.shape)
        return counts + counts.T

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return unit_rows(self.words_.transform(texts) @ self.vectors_, self.mean_)


def positive_information(counts: csr_array) -> csr_array:
    """Pointwise mutual information of neighbouring words, where it is above zero."""
    totals = counts.sum(axis=0)  # (words,)
    shares = diags_array(1 / np.maximum(totals, 1))
    information = (shares @ counts @ shares).tocsr() * totals.sum()
    information.data = np.maximum(np.log(information.data), 0)
    return information


def unit_rows(vectors: NDArray[np.float64], unknown: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length one, `unknown` where a text holds nothing known: cosine search refuses zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    vectors = np.where(lengths > 1e-6, vectors, unknown)  # a row of rounding noise is a zero too
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


PIECES = {"analyzer": "char_wb", "ngram_range": (3, 5), "n_features": 2**15, "binary": True}
ENCODERS: dict[str, Callable[[], TermEncoder | CooccurrenceEncoder]] = {
    "words": lambda: TermEncoder(CountVectorizer(stop_words="english", binary=True), width=256, seed=1),
    "chars": lambda: TermEncoder(HashingVectorizer(**PIECES), width=192, seed=2),
    "cooccurrence": lambda: CooccurrenceEncoder(width=128, seed=3),
}
