"""ONNX models as they come: right ones give what torch gives, wrong ones a reason, hostile ones are stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from app.errors import Busy, OnnxFailed, OnnxOverrun, OnnxRefused
from app.onnx.description import Limits
from app.onnx.runner import WORKERS, Runner
from app.onnx.worker import BATCH

MIB = 2**20
X = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
LARGE = 4_000_000_000  # more numbers than the memory limit lets be


@pytest.fixture
def new_runner():
    """new_runner(**limits): closed after the test."""
    made = []

    def make(**limits):
        made.append(Runner(Limits(**{"size": MIB, "memory": 256 * MIB, "seconds": 20, **limits})))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


@pytest.fixture(scope="module")
def runner():
    runner = Runner(Limits(size=MIB, memory=256 * MIB, seconds=20))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def doubled(onnx_model):
    return onnx_model([helper.make_node("Add", ["x", "x"], ["y"])]).SerializeToString()


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def workers(server=None):
    """The processes of models that `server`, or else this process, has started."""
    places = [place for place in Path("/proc").iterdir() if place.name.isdigit()]
    return {int(place.name) for place in places if is_worker(place, server or os.getpid())}


def is_worker(place, server):
    with suppress(OSError):
        state, parent = (place / "stat").read_text().rpartition(") ")[2].split()[:2]
        return state != "Z" and int(parent) == server and b"app.onnx.worker" in (place / "cmdline").read_bytes()
    return False


# What is right


@pytest.fixture(scope="module")
def exported():
    """An image decoder of torch, and itself as ONNX."""
    torch.manual_seed(0)
    decoder = torch.nn.Sequential(
        torch.nn.Linear(4, 8 * 3 * 3),
        torch.nn.Unflatten(1, (8, 3, 3)),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
        torch.nn.Sigmoid(),
    ).eval()
    rows, file = torch.export.Dim("rows", min=1), BytesIO()
    with warnings.catch_warnings(action="ignore"):  # torch's own
        torch.onnx.export(
            decoder, (torch.zeros(2, 4),), file, input_names=["latent"], output_names=["image"],
            dynamic_shapes=({0: rows},), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    return decoder, file.getvalue()


def test_a_model_of_torch_gives_what_torch_gives(runner, exported):
    decoder, model = exported
    described = runner.describe(model)
    assert (described.dim, described.shape) == (4, (1, 6, 6))
    with torch.no_grad():
        wanted = decoder(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(runner.run(model, None, X), wanted, atol=1e-6)


def test_what_was_checked_is_what_runs(runner, doubled):
    """The producer's name puts the mark of onnxruntime's own format where it looks for it."""
    marked = b"\x12\x06  ORTM" + doubled
    np.testing.assert_array_equal(runner.run(marked, None, X), 2 * X)


@pytest.mark.parametrize("n", [1, BATCH, BATCH + 1, 2 * BATCH + 7])
def test_every_row_is_answered(runner, doubled, n):
    x = np.random.default_rng(n).standard_normal((n, 4), dtype=np.float32)
    np.testing.assert_array_equal(runner.run(doubled, None, x), 2 * x)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL])
def test_every_kind_of_number_comes_as_float32(runner, onnx_model, kind):
    model = onnx_model([helper.make_node("Cast", ["x"], ["y"], to=kind)], y=value("y", kind, "n", 4))
    x = np.array([[0, 1, 2, 3]], np.float32)
    outputs = runner.run(model.SerializeToString(), None, x)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, x > 0 if kind == TensorProto.BOOL else x)


def test_one_of_several_outputs_is_named(runner, onnx_model):
    model = onnx_model([helper.make_node(kind, ["x"], [name]) for kind, name in (("Neg", "y"), ("Abs", "z"))])
    model.graph.output.append(value("z", TensorProto.FLOAT, "n", 4))
    model = model.SerializeToString()
    np.testing.assert_array_equal(runner.run(model, "z", X), abs(X))
    np.testing.assert_array_equal(runner.run(model, "y", X), -X)
    with pytest.raises(OnnxRefused, match=r"\['y', 'z'\]: name one in `output`"):
        runner.describe(model)
    with pytest.raises(OnnxRefused, match=r"\['y', 'z'\], not 'w'"):
        runner.describe(model, "w")


def test_a_process_serves_many_calls(new_runner, doubled):
    runner = new_runner()
    runner.run(doubled, None, X)
    found = workers()
    runner.run(doubled, None, X)
    assert workers() == found != set()


def test_models_used_least_recently_make_room(new_runner, onnx_model):
    runner, before = new_runner(), workers()
    for number in range(WORKERS + 2):
        model = onnx_model([helper.make_node("Add", ["x", "one"], ["y"])], {"one": np.float32(number)})
        np.testing.assert_array_equal(runner.run(model.SerializeToString(), None, X), X + np.float32(number))
    assert len(workers() - before) == WORKERS
    runner.close()
    assert workers() == before


def test_calls_at_once_each_get_their_own_answer(new_runner, doubled):
    runner, found = new_runner(), {}

    def call(number):
        found[number] = runner.run(doubled, None, X + np.float32(number))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        np.testing.assert_array_equal(found[number], 2 * (X + np.float32(number)))


# What is refused


def refused(runner, model, match):
    with pytest.raises(OnnxRefused, match=match):
        runner.describe(model.SerializeToString())


def test_what_the_check_refuses_is_told_with_its_facts(runner, onnx_model):
    own = onnx_model([helper.make_node("Magic", ["x"], ["y"], domain="com.somebody")], domains=["com.somebody"])
    with pytest.raises(OnnxRefused, match=r"'Magic' is of domain 'com\.somebody'") as caught:
        runner.describe(own.SerializeToString())
    assert caught.value.facts == {"expected": ["ai.onnx", "ai.onnx.ml"], "got": "com.somebody.Magic"}


def test_sizes_that_do_not_fit(runner, onnx_model):
    model = onnx_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((3, 4), np.float32)})
    refused(runner, model, "onnxruntime cannot load the model")


def test_a_model_that_is_too_large(new_runner, doubled):
    with pytest.raises(OnnxRefused, match=f"at most {len(doubled) - 1} bytes, got {len(doubled)}") as caught:
        new_runner(size=len(doubled) - 1).describe(doubled)
    assert caught.value.facts == {"limit": len(doubled) - 1, "got": len(doubled)}
    assert new_runner(size=len(doubled)).describe(doubled).dim == 4


def test_outputs_that_are_no_numbers(runner, onnx_model):
    text, many = (
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)],
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
    )
    refused(runner, onnx_model(text, y=value("y", TensorProto.STRING, "n", 4)), r"of type tensor\(string\)")
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, ["n", 4])
    refused(runner, onnx_model(many, y=sequence), r"of type seq\(tensor\(float\)\)")


@pytest.mark.parametrize(
    ("node", "constants", "shape"),
    [
        (helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0), {}, []),
        (helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=0), {}, [4]),
        (helper.make_node("Reshape", ["x", "s"], ["y"]), {"s": [1, -1]}, [1, "m"]),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": np.ones((4, 0), np.float32)}, ["n", 0]),
        (helper.make_node("NonZero", ["x"], ["y"]), {}, [2, "m"]),
    ],
    ids=["number", "mean", "row", "nothing", "places"],
)
def test_outputs_without_an_entry_for_every_vector(runner, onnx_model, node, constants, shape):
    kind = TensorProto.INT64 if node.op_type == "NonZero" else TensorProto.FLOAT
    refused(
        runner, onnx_model([node], constants, y=value("y", kind, *shape)), "must have an entry for every vector"
    )


# What goes wrong later


def test_outputs_of_another_size_than_before(runner, onnx_model):
    """As many entries as the vectors have above 1000: none when it was registered."""
    nodes = [
        helper.make_node("Greater", ["x", "high"], ["above"]),
        helper.make_node("Cast", ["above"], ["ones"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["ones"], ["count"], keepdims=0),
        helper.make_node("Add", ["count", "one"], ["times"]),
        helper.make_node("Concat", ["one", "times"], ["tiles"], axis=0),
        helper.make_node("Tile", ["x", "tiles"], ["y"]),
    ]
    constants = {"high": np.float32(1000), "one": np.array([1])}
    model = onnx_model(nodes, constants, y=value("y", TensorProto.FLOAT, "n", "m")).SerializeToString()
    np.testing.assert_array_equal(runner.run(model, None, X), X)
    with pytest.raises(OnnxFailed, match=r"shape \(5, 24\), and \(5, 4\) is what"):
        runner.run(model, None, X + 2000 * (np.arange(20) < 5).reshape(5, 4).astype(np.float32))
    np.testing.assert_array_equal(runner.run(model, None, X), X)


def test_a_run_that_fails_says_why(runner, onnx_model):
    """Row x[0, 0] of four, as long as there is one."""
    nodes = [
        helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "places"], ["y"]),
    ]
    model = onnx_model(nodes, {"table": np.zeros(9, np.float32)}).SerializeToString()
    assert runner.run(model, None, X).shape == X.shape
    with pytest.raises(OnnxFailed, match=r"the model failed: .*Gather"):
        runner.run(model, None, X + 100)
    assert runner.run(model, None, X).shape == X.shape


# What is stopped


def test_a_loop_without_end_is_stopped(new_runner, endless_onnx, doubled):
    runner = new_runner(seconds=1)
    with pytest.raises(OnnxOverrun, match="longer than 1 s and was stopped: send fewer rows") as caught:
        runner.describe(endless_onnx)
    assert caught.value.facts == {"limit": 1}
    np.testing.assert_array_equal(runner.run(doubled, None, X), 2 * X)


def test_a_run_that_takes_all_memory_is_stopped(new_runner, growing_onnx):
    runner, model = new_runner(), growing_onnx
    np.testing.assert_array_equal(runner.run(model, None, X), X)
    with pytest.raises(OnnxOverrun, match=f"more than {256 * MIB} bytes: send fewer rows") as caught:
        runner.run(model, None, X + 2000)
    assert caught.value.facts == {"limit": 256 * MIB}
    np.testing.assert_array_equal(runner.run(model, None, X), X)


def test_a_model_that_takes_all_memory_as_it_is_loaded(new_runner, onnx_model):
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["wide"]),
        helper.make_node("ReduceMin", ["wide"], ["zero"], keepdims=0),
        helper.make_node("Add", ["x", "zero"], ["y"]),
    ]
    model = onnx_model(nodes, {"shape": np.array([LARGE])}).SerializeToString()
    with pytest.raises(OnnxOverrun, match="more than"):
        new_runner().describe(model)


def test_more_rows_than_memory_holds_answers_of(new_runner, onnx_model):
    model = onnx_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"w": np.ones((4, 20_000), np.float32)},
        y=value("y", TensorProto.FLOAT, "n", 20_000),
    ).SerializeToString()
    runner = new_runner()
    assert runner.run(model, None, X).shape == (5, 20_000)
    with pytest.raises(OnnxOverrun, match="send fewer rows"):
        runner.run(model, None, np.ones((4000, 4), np.float32))


def test_a_process_that_dies_is_told_and_replaced(new_runner, endless_onnx, doubled):
    runner, before, caught = new_runner(), workers(), []

    def call():
        try:
            runner.describe(endless_onnx)
        except OnnxFailed as error:
            caught.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    while not (found := workers() - before):
        time.sleep(0.01)
    os.kill(found.pop(), signal.SIGKILL)
    thread.join()
    assert caught == ["the model ended its process (exit code -9): the server's log may say more"]
    np.testing.assert_array_equal(runner.run(doubled, None, X), 2 * X)


def test_a_process_that_died_between_two_calls_is_replaced(new_runner, doubled):
    runner, before = new_runner(), workers()
    runner.run(doubled, None, X)
    (own,) = workers() - before
    os.kill(own, signal.SIGKILL)
    os.waitid(os.P_PID, own, os.WEXITED | os.WNOWAIT)
    np.testing.assert_array_equal(runner.run(doubled, None, X), 2 * X)


def test_who_waits_too_long_for_a_model_is_told(new_runner, endless_onnx):
    """Of two calls at once one has the turn for all its time; the other is not left without an answer."""
    runner, told = new_runner(seconds=1), []

    def call():
        try:
            runner.describe(endless_onnx)
        except (Busy, OnnxOverrun) as error:
            told.append(type(error).__name__)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["Busy", "OnnxOverrun"]


def test_no_more_models_run_at_once_than_there_are_places(new_runner, endless_onnx):
    runner, before, most = new_runner(seconds=1), workers(), 0

    def call(number):
        with suppress(Busy, OnnxOverrun):
            runner.describe(b"\x12\x01%c" % (65 + number) + endless_onnx)  # each by another producer

    threads = [threading.Thread(target=call, args=[number]) for number in range(WORKERS + 3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, len(workers() - before))
        time.sleep(0.01)
    assert most == WORKERS


def test_who_waits_for_a_busy_model_takes_no_place_from_who_runs_another(new_runner, endless_onnx, doubled):
    runner = new_runner(seconds=4)

    def call():
        with suppress(Busy, OnnxOverrun):
            runner.describe(endless_onnx)

    threads = [threading.Thread(target=call) for _ in range(WORKERS + 3)]
    for thread in threads:
        thread.start()
    np.testing.assert_array_equal(runner.run(doubled, None, X), 2 * X)
    assert any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()


def test_a_process_knows_nothing_of_the_servers_settings(new_runner, doubled, monkeypatch):
    monkeypatch.setenv("ANCHORAGE_STORE", "redis://:secret@nowhere")
    runner, before = new_runner(), workers()
    runner.run(doubled, None, X)
    (own,) = workers() - before
    assert b"secret" not in Path(f"/proc/{own}/environ").read_bytes()


def test_a_process_does_not_outlive_its_server(tmp_path, endless_onnx):
    """Killed without a word, in the midst of a call."""
    (tmp_path / "endless.onnx").write_bytes(endless_onnx)
    code = (
        "import sys; from pathlib import Path; from app.onnx.description import Limits; "
        "from app.onnx.runner import Runner; "
        "Runner(Limits(10**6, 2**28, 3)).describe(Path(sys.argv[1]).read_bytes())"
    )
    server = subprocess.Popen([sys.executable, "-c", code, tmp_path / "endless.onnx"])
    while not (found := workers(server.pid)):
        time.sleep(0.01)
    time.sleep(1)  # by then it counts
    server.kill()
    server.wait()
    (own,) = found
    while (place := Path(f"/proc/{own}/stat")).exists() and ") Z" not in place.read_text():
        time.sleep(0.05)
