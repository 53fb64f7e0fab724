"""What the benchmark asks of the server, under names that no other task uses."""

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.demo.server import Client, packed
from benchmarks.quality.data import Head
from benchmarks.quality.task import Task

NPY = "application/x-npy"


@dataclass(frozen=True)
class Service:
    """The spaces of a task, and the heads of its target."""

    client: Client
    task: Task

    @property
    def source(self) -> str:
        return self._name(self.task.source, "source")

    @property
    def target(self) -> str:
        return self._name(self.task.target, "target")

    @property
    def classifier(self) -> str:
        return self._name(self.task.target, "classifier")

    @property
    def probe(self) -> str:
        return self._name(self.task.source, "probe")

    def relative(self, codes: str) -> str:
        return self._name(self.task.target, "relative-" + codes.replace(", ", "-").replace(" ", "-"))

    def put_spaces(self, shared: np.ndarray, x: np.ndarray, rows: np.ndarray, y: np.ndarray) -> None:
        """Rows of the file are the ids."""
        self.client.put_space(self.source, ids(shared), x)
        self.client.put_space(self.target, ids(rows), y)

    def put_classifier(self, head: Head) -> None:
        labels = ids(range(len(head.bias)))
        body = {"weight": packed(head.weight), "bias": packed(head.bias), "labels": labels}
        self._put(self.classifier, kind="linear", space=self.target, activation="softmax", **body)

    def put_decoder(self, name: str, model: bytes) -> str:
        head = self._name(name, "decoder")
        self._put(head, kind="onnx", space=self.target, model=b64encode(model).decode())
        return head

    def fit(self, head: str, space: str, labels: dict[str, str], **more: Any) -> str:
        """On labels by anchor id, once for all pairs."""
        if not self.client.http.get(f"/v1/heads/{head}").is_success:
            self.client.ask("POST", f"/v1/heads/{head}/fit", space=space, labels=labels, **more)
        return head

    def evaluate(self, head: str, **items: Any) -> Any:
        """On items of the source."""
        return self.client.ask("POST", f"/v1/heads/{head}/evaluate", source=self.source, **items)

    def translator(self, objective: str, head: str) -> str:
        """Fitted by `auto`; for the objective "head", so that this one agrees."""
        agreeing = {"head": head} if objective == "head" else {}
        kind = head.rpartition(".")[2] if agreeing else objective
        name = self._name(f"{self.task.source}-{self.task.target}", kind)
        path, pair = f"/v1/translators/{name}", {"source": self.source, "target": self.target}
        self.client.ask("PUT", path, **pair, objective=objective, **agreeing)
        return name

    def run(self, head: str, space: str, vectors: np.ndarray, translator: str | None = None) -> np.ndarray:
        """(n, ...) outputs of the head."""
        parameters = {"head": head, "source": space} | ({"translator": translator} if translator else {})
        np.save(body := io.BytesIO(), vectors)
        headers = {"Content-Type": NPY, "Accept": NPY}
        answer = self.client.http.post("/v1/stitch", params=parameters, content=body.getvalue(), headers=headers)
        if answer.is_error:
            raise RuntimeError(f"stitch {parameters}: {answer.text}")
        outputs: np.ndarray = np.load(io.BytesIO(answer.content))
        return outputs

    def _put(self, head: str, **body: Any) -> None:
        self.client.ask("PUT", f"/v1/heads/{head}", **body)

    def _name(self, space: str, what: str) -> str:
        return f"{self.task.file}.{space}.{self.task.anchors}.{self.task.draw}.{what}"


def ids(rows: Any) -> list[str]:
    return [str(row) for row in rows]
