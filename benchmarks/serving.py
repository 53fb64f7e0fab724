"""What HTTP, codecs and the choice cost: our figures beside the bare work, in one run.

    python benchmarks/serving.py [--dim 768] [--anchors 20000]

translate    1024 vectors as .npy over HTTP, beside the product itself in this process
one vector   beside an endpoint of the same server that reads the same body and answers nothing
fit          `auto` with its cross-validation, beside scipy's orthogonal_procrustes and one ridge solve
"""

import argparse
import io
import statistics
import threading
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory

import httpx2 as httpx
import numpy as np
import torch
import uvicorn
from fastapi import Request, Response
from scipy.linalg import orthogonal_procrustes

from app.demo.server import Client, free_port
from app.main import create_app
from app.settings import Settings
from models.estimate import estimate

BINARY = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
PATH = "/v1/translate?translator=t"


def npy(array: np.ndarray) -> bytes:
    np.save(file := io.BytesIO(), array)
    return file.getvalue()


def milliseconds(call: Callable[[], object], times: int) -> float:
    """The median, after a tenth as many calls to warm up."""
    spent = []
    for number in range(times + times // 10 + 1):
        started = time.perf_counter()
        call()
        if number > times // 10:
            spent.append(1e3 * (time.perf_counter() - started))
    return statistics.median(spent)


def serve(folder: str) -> tuple[uvicorn.Server, str]:
    """A server in a thread of its own, with an empty endpoint beside ours."""
    settings = Settings(store=f"sqlite:///{folder}/store.db", port=free_port())
    app = create_app(settings)

    @app.post("/empty")
    async def empty(request: Request) -> Response:
        await request.body()
        return Response(b"")

    server = uvicorn.Server(uvicorn.Config(app, port=settings.port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return server, f"http://127.0.0.1:{settings.port}"


def serving(x: np.ndarray, y: np.ndarray) -> None:
    with TemporaryDirectory() as folder:
        server, url = serve(folder)
        with httpx.Client(base_url=url, timeout=300, trust_env=False) as http:
            client, ids = Client(http), [str(number) for number in range(2000)]
            client.put_space("a", ids, x[:2000])
            client.put_space("b", ids, y[:2000])
            client.ask("PUT", "/v1/translators/t", source="a", target="b", method="orthogonal")
            many, one = npy(x[:1024]), npy(x[:1])
            weight, rows = torch.randn(x.shape[1], y.shape[1]), torch.from_numpy(x[:1024])
            report(
                "translate 1024",
                milliseconds(lambda: http.post(PATH, content=many, headers=BINARY), 50),
                "the product alone",
                milliseconds(lambda: rows @ weight, 50),
            )
            report(
                "one vector",
                milliseconds(lambda: http.post(PATH, content=one, headers=BINARY), 500),
                "empty endpoint",
                milliseconds(lambda: http.post("/empty", content=one, headers=BINARY), 500),
            )
        server.should_exit = True


def fitting(x: np.ndarray, y: np.ndarray) -> None:
    def bare() -> None:
        xd, yd = x.astype(float), y.astype(float)
        orthogonal_procrustes(xd, yd)
        np.linalg.solve(xd.T @ xd + np.eye(x.shape[1]), xd.T @ yd)

    tensors = torch.from_numpy(x), torch.from_numpy(y)
    report(
        f"fit {len(x)}", milliseconds(lambda: estimate(*tensors), 3), "procrustes + ridge", milliseconds(bare, 3)
    )


def report(ours: str, our_time: float, peer: str, peer_time: float) -> None:
    print(f"{ours:16}{our_time:10.2f} ms   {peer:20}{peer_time:10.2f} ms   ratio {our_time / peer_time:5.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--dim", type=int, default=768)
    arguments.add_argument("--anchors", type=int, default=20_000)
    chosen, random = arguments.parse_args(), np.random.default_rng(0)
    x = random.standard_normal((chosen.anchors, chosen.dim), dtype=np.float32)
    turn = np.linalg.qr(random.standard_normal((chosen.dim, chosen.dim)))[0].astype(np.float32)
    y = x @ turn + 0.3 * random.standard_normal(x.shape, dtype=np.float32)
    serving(x, y)
    fitting(x, y)


if __name__ == "__main__":
    main()
