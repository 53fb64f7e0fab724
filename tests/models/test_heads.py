"""Every promise of a head, for every kind of the registry; parity with torch.nn and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from models.affine import Affine
from models.errors import DimensionMismatch, InvalidHead
from models.heads import ACTIVATIONS, AT_ONCE, HEADS, LinearHead, MlpHead, check_layers
from models.layers import LAYERS, Layer

D, C = 6, 3
TENSORS = {"linear": {"weight": (D, D), "bias": (D,)}, "layer_norm": {"weight": (D,), "bias": (D,)}}
TENSORS |= {"standardise": {"mean": (D,), "scale": (D,)}}
MODULES = {
    "linear": lambda: nn.Linear(D, D),
    "layer_norm": lambda: nn.LayerNorm(D),
    "dropout": nn.Dropout,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@pytest.fixture
def parts(normal):
    """For every kind, what makes one of width D with C outputs."""
    network = {"0.mean": normal(D), "0.scale": normal(D).abs(), "1.weight": normal(5, D), "1.bias": normal(5)}
    network |= {"3.weight": normal(5), "3.bias": normal(5), "4.weight": normal(C, 5)}
    layers = ["standardise", "linear", "gelu", "layer_norm", "linear", "dropout"]
    return {
        "linear": {"weight": normal(C, D), "bias": normal(C)},
        "mlp": {"layers": layers, "tensors": network},
    }


@pytest.fixture(params=HEADS)
def made(request, parts):
    """made(activation): a head of every kind."""
    return lambda activation="softmax": HEADS[request.param].of_parts(activation, parts[request.param])


# every kind


@pytest.mark.parametrize("kind", HEADS)
def test_the_registry_knows_a_kind_by_its_own_name(kind, parts):
    assert HEADS[kind].of_parts("none", parts[kind]).kind == kind


def test_a_head_knows_its_width_and_what_it_gives(made, normal):
    head = made()
    assert (head.dim, head.shape) == (D, (C,))
    assert head(normal(4, D)).shape == (4, C)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_stored_head_answers_the_same(activation, made, normal):
    head, y = made(activation), normal(20, D).float()
    again = HEADS[head.kind].of_bytes(head.to_bytes(), activation, head.parameters())
    torch.testing.assert_close(again(y), head(y), rtol=1e-5, atol=1e-6)
    assert again.to_bytes() == head.to_bytes()


def test_what_is_stored_is_single_precision_safetensors(made):
    header = made().to_bytes()
    assert header[8:9] == b"{"
    assert b'"F32"' in header
    assert b'"F64"' not in header


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_comes_last(activation, made, normal):
    y = normal(20, D)
    by_scipy = {"softmax": lambda raw: softmax(raw, axis=1), "sigmoid": expit, "none": np.asarray}
    expected = by_scipy[activation](made("none")(y).numpy())
    np.testing.assert_allclose(made(activation)(y).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_head_keeps_the_precision_of_vectors(dtype, made, normal):
    assert made()(normal(2, D).to(dtype)).dtype == dtype


def test_whole_numbers_count_as_single_precision(made):
    assert made()(torch.ones(2, D, dtype=torch.long)).dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, D - 1), (2, D + 1), (D,), (1, 2, D)])
def test_vectors_of_another_width_are_a_dimension_mismatch(shape, made):
    with pytest.raises(DimensionMismatch) as caught:
        made()(torch.zeros(shape))
    assert caught.value.facts == {"expected": D, "got": shape[-1]}


def test_a_head_without_rows_answers_none(made):
    assert made()(torch.zeros(0, D)).shape == (0, C)


# linear


def test_a_linear_head_is_a_torch_linear_layer(normal):
    layer, y = nn.Linear(D, C).double(), normal(20, D)
    head = LinearHead.of_parts("none", dict(layer.state_dict()))
    torch.testing.assert_close(head(y), layer(y).detach())


def test_a_linear_head_predicts_as_scikit_learns_classifier(normal):
    y, labels = normal(200, D).numpy(), np.arange(200) % C
    model = LogisticRegression().fit(y, labels)
    parts = {"weight": torch.from_numpy(model.coef_), "bias": torch.from_numpy(model.intercept_)}
    answers = LinearHead.of_parts("softmax", parts)(torch.from_numpy(y))
    np.testing.assert_allclose(answers.numpy(), model.predict_proba(y), rtol=1e-9)


def test_a_single_sigmoid_predicts_as_scikit_learns_classifier_of_two_labels(normal):
    y, labels = normal(200, D).numpy(), np.arange(200) % 2
    model = LogisticRegression().fit(y, labels)
    parts = {"weight": torch.from_numpy(model.coef_), "bias": torch.from_numpy(model.intercept_)}
    answers = LinearHead.of_parts("sigmoid", parts)(torch.from_numpy(y))
    np.testing.assert_allclose(answers[:, 0].numpy(), model.predict_proba(y)[:, 1], rtol=1e-9)


def test_a_linear_head_without_bias_has_none(normal):
    weight, y = normal(C, D), normal(5, D)
    torch.testing.assert_close(LinearHead.of_parts("none", {"weight": weight})(y), y @ weight.T)


def test_a_linear_head_and_the_map_before_it_are_one_product(parts, normal):
    head, x = LinearHead.of_parts("none", parts["linear"]), normal(20, 4)
    translation = Affine(normal(4, D), normal(D))
    torch.testing.assert_close(translation.then(head.affine)(x), head(translation(x)))


@pytest.mark.parametrize(
    ("parts", "tensor"),
    [
        ({"weight": torch.zeros(D)}, "weight"),
        ({"weight": torch.zeros(0, D)}, "weight"),
        ({"weight": torch.zeros(C, 0)}, "weight"),
        ({"weight": torch.full((C, D), torch.nan)}, "weight"),
        ({"weight": torch.zeros(D, C), "bias": torch.zeros(C)}, "weight"),
        ({"weight": torch.zeros(C, D), "bias": torch.zeros(C + 1)}, "bias"),
        ({"weight": torch.zeros(C, D), "bias": torch.zeros(())}, "bias"),
        ({"weight": torch.zeros(C, D), "bias": torch.zeros(C, 1)}, "bias"),
        ({"weight": torch.zeros(C, D), "bias": torch.full((C,), torch.inf)}, "bias"),
    ],
)
def test_tensors_that_make_no_linear_head_are_named(parts, tensor):
    with pytest.raises(InvalidHead, match=f"'{tensor}'") as caught:
        LinearHead.of_parts("none", parts)
    assert caught.value.facts["tensor"] == tensor


# mlp


def test_every_layer_of_torch_is_the_one_of_that_name():
    assert {*MODULES, "standardise"} == set(LAYERS)


@pytest.mark.parametrize("name", MODULES)
def test_a_network_is_the_torch_sequential_of_its_state_dict(name, normal):
    network = nn.Sequential(nn.Linear(D, D), MODULES[name](), nn.Linear(D, C)).double().eval()
    head = MlpHead.of_parts("none", {"layers": ["linear", name, "linear"], "tensors": network.state_dict()})
    y = normal(20, D)
    torch.testing.assert_close(head(y), network(y).detach())


def test_a_network_predicts_as_that_of_scikit_learn(normal):
    y, labels = 5 * normal(200, D).numpy() + 3, np.arange(200) % C
    scaler = StandardScaler().fit(y)
    model = MLPClassifier((8, 5), alpha=0.1, max_iter=30, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        model.fit(scaler.transform(y), labels)
    tensors = {"0.mean": torch.from_numpy(scaler.mean_), "0.scale": torch.from_numpy(scaler.scale_)}
    for place, (weight, bias) in zip((1, 3, 5), zip(model.coefs_, model.intercepts_, strict=True), strict=True):
        tensors |= {f"{place}.weight": torch.from_numpy(weight.T), f"{place}.bias": torch.from_numpy(bias)}
    layers = ["standardise", "linear", "relu", "linear", "relu", "linear"]
    head = MlpHead.of_parts("softmax", {"layers": layers, "tensors": tensors})
    expected = model.predict_proba(scaler.transform(y))
    np.testing.assert_allclose(head(torch.from_numpy(y)).numpy(), expected, rtol=1e-6)


def test_layers_may_go_without_what_is_optional(normal):
    head = MlpHead.of_parts("none", {"layers": ["layer_norm", "linear"], "tensors": {"1.weight": normal(C, D)}})
    network = nn.Sequential(nn.LayerNorm(D, elementwise_affine=False), nn.Linear(D, C, bias=False)).double()
    network[1].weight.data = head.tensors["1.weight"]
    y = normal(20, D)
    assert head.dim == D
    torch.testing.assert_close(head(y), network(y).detach())


@pytest.mark.parametrize("first", ["standardise", "layer_norm", "linear"])
def test_the_first_tensors_say_how_wide_vectors_are(first, normal):
    tensors = {f"1.{name}": normal(*shape) for name, shape in TENSORS[first].items()} | {"2.weight": normal(C, D)}
    head = MlpHead.of_parts("none", {"layers": ["tanh", first, "linear"], "tensors": tensors})
    assert (head.dim, head.shape) == (D, (C,))


@pytest.mark.parametrize("layers", [[], ["relu"], ["standardise"], ["linear", "attention"]])
def test_layers_that_make_no_network_are_answered_with_the_known(layers):
    with pytest.raises(InvalidHead, match="layer_norm") as caught:
        check_layers(tuple(layers), {})
    assert caught.value.facts["expected"] == list(LAYERS)


@pytest.mark.parametrize(
    ("tensors", "missing", "unknown"),
    [
        ({}, ["0.weight", "2.weight"], []),
        ({"0.weight": 1, "2.weight": 1, "1.weight": 1}, [], ["1.weight"]),
        ({"0.weight": 1, "weight": 1}, ["2.weight"], ["weight"]),
        ({"0.weight": 1, "2.weight": 1, "02.bias": 1}, [], ["02.bias"]),
    ],
)
def test_tensors_that_are_missing_or_belong_to_no_layer_are_named(tensors, missing, unknown):
    with pytest.raises(InvalidHead) as caught:
        check_layers(("linear", "relu", "linear"), tensors)
    assert caught.value.facts == {"missing": missing, "unknown": unknown}


@pytest.mark.parametrize(
    ("layers", "changed"),
    [
        ("linear linear", {"1.weight": (C, D + 1)}),
        ("linear linear", {"0.weight": (D,)}),
        ("linear linear", {"1.weight": ()}),
        ("linear linear", {"0.bias": (D - 1,)}),
        ("linear layer_norm linear", {"1.weight": (D + 1,)}),
        ("linear layer_norm linear", {"1.bias": (D, 1)}),
        ("layer_norm linear", {"0.weight": (D - 1,), "0.bias": (D,)}),
        ("standardise linear", {"0.scale": (1,)}),
        ("linear standardise linear", {"1.mean": (D - 2,)}),
    ],
)
def test_widths_that_do_not_agree_are_named(layers, changed):
    layers = layers.split()
    shapes = {f"{place}.{k}": s for place, name in enumerate(layers) for k, s in TENSORS[name].items()} | changed
    with pytest.raises(InvalidHead, match="must have"):
        MlpHead.of_parts("none", {"layers": layers, "tensors": {k: torch.ones(s) for k, s in shapes.items()}})


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("tensor", ["0.mean", "0.scale", "1.weight", "1.bias"])
def test_a_tensor_with_a_number_that_is_not_finite_is_named(tensor, bad):
    tensors = {
        "0.mean": torch.ones(D),
        "0.scale": torch.ones(D),
        "1.weight": torch.ones(D, D),
        "1.bias": torch.ones(D),
    }
    tensors[tensor].view(-1)[-1] = bad
    with pytest.raises(InvalidHead, match=f"'{tensor}'"):
        MlpHead.of_parts("none", {"layers": ["standardise", "linear"], "tensors": tensors})


def test_nothing_is_divided_by_zero():
    tensors = {"0.mean": torch.ones(D), "0.scale": torch.zeros(D), "1.weight": torch.ones(D, D)}
    with pytest.raises(InvalidHead, match=r"0\.scale"):
        MlpHead.of_parts("none", {"layers": ["standardise", "linear"], "tensors": tensors})


def test_a_regressor_predicts_as_that_of_scikit_learn(normal):
    y, values = normal(100, D).numpy(), normal(100, 2).numpy()
    model = Ridge().fit(y, values)
    parts = {"weight": torch.from_numpy(model.coef_), "bias": torch.from_numpy(model.intercept_)}
    np.testing.assert_allclose(
        LinearHead.of_parts("none", parts)(torch.from_numpy(y)), model.predict(y), rtol=1e-9
    )


def test_what_lies_between_wide_layers_is_held_for_some_rows_at_a_time(monkeypatch, normal):
    held = []

    def relu(x):
        held.append(x.numel())
        return torch.relu(x)

    wide = AT_ONCE // 16
    tensors = {"0.weight": normal(wide, 1), "2.weight": normal(1, wide)}
    head = MlpHead.of_parts("none", {"layers": ["linear", "relu", "linear"], "tensors": tensors})
    monkeypatch.setitem(LAYERS, "relu", Layer(relu))
    y = torch.arange(-20.0, 20.0)[:, None] / 20
    up, down = (tensors["0.weight"][:, 0].clamp(min=0), tensors["0.weight"][:, 0].clamp(max=0))
    wanted = torch.where(y > 0, y * (up @ tensors["2.weight"][0]), y * (down @ tensors["2.weight"][0]))
    torch.testing.assert_close(head(y), wanted, rtol=1e-3, atol=1e-1)
    assert max(held) <= AT_ONCE
    assert sum(held) == wide * len(y)
