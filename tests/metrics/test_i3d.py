"""I3D: padding against a sum written out, names and sizes of the published files, what is read and what is refused."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from musedance.errors import InputError
from musedance.metrics.i3d import I3D, MaxPool, Unit3D


@pytest.fixture(scope="module")
def model() -> I3D:
    """Weights under which the input matters: PyTorch's own shrink it by 1e4 until the logits."""
    torch.manual_seed(0)
    model = I3D().eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    return model


def windows(size: int, kernel: int, stride: int) -> list[list[tuple[int, int]]]:
    """For each output of TensorFlow's SAME along one axis: pairs of a place in the kernel and the input it sees."""
    outputs = (size + stride - 1) // stride
    total = max((outputs - 1) * stride + kernel - size, 0)
    before = total // 2
    return [
        [(k, i * stride + k - before) for k in range(kernel) if 0 <= i * stride + k - before < size]
        for i in range(outputs)
    ]


@pytest.mark.parametrize("shape", [(4, 5, 6), (7, 4, 3), (1, 2, 9)])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (1, 1)])
def test_convolution_pads_as_tensorflow(shape, kernel, stride):
    unit = Unit3D(2, 1, kernel=kernel, stride=stride, plain=True)
    video = torch.randn(1, 2, *shape)
    weight, bias = unit.conv3d.weight.detach().numpy()[0], unit.conv3d.bias.item()
    axes = [windows(size, kernel, stride) for size in shape]
    expected = np.full([len(axis) for axis in axes], bias)
    for (t, ts), (y, ys), (x, xs) in itertools.product(*map(enumerate, axes)):
        for (kt, it), (ky, iy), (kx, ix) in itertools.product(ts, ys, xs):
            expected[t, y, x] += (weight[:, kt, ky, kx] * video[0, :, it, iy, ix].numpy()).sum()
    np.testing.assert_allclose(unit(video)[0, 0].detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 5, 6), (7, 4, 3)])
@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))])
def test_pooling_pads_as_tensorflow(shape, kernel, stride):
    """The largest of what is there: nothing outside counts."""
    video = torch.rand(1, 1, *shape)
    axes = [windows(*along) for along in zip(shape, kernel, stride, strict=True)]
    expected = [
        max(video[0, 0, it, iy, ix].item() for (_, it), (_, iy), (_, ix) in itertools.product(*place))
        for place in itertools.product(*axes)
    ]
    pooled = MaxPool(kernel, stride)(video)
    assert pooled.shape[2:] == tuple(len(axis) for axis in axes)
    np.testing.assert_allclose(pooled.flatten().numpy(), expected)


def test_batch_normalisation_adds_a_thousandth():
    """Sonnet's default, with which the weights were trained; PyTorch's 1e-5 would give ten times this."""
    unit = Unit3D(1, 1).eval()
    nn.init.ones_(unit.conv3d.weight)
    nn.init.zeros_(unit.bn.running_var)
    assert unit(torch.ones(1, 1, 1, 1, 1)).item() == pytest.approx(1e-3**-0.5)


def test_size_of_each_stage():
    """Figure 3 of the paper: total stride 8 in time and 32 in space, 1024 channels, 400 classes."""
    with torch.device("meta"):
        model = I3D().eval()
        sizes: dict[str, tuple[int, ...]] = {}
        for name, stage in model.named_children():
            stage.register_forward_hook(lambda *call, name=name: sizes.update({name: tuple(call[2].shape[1:])}))
        logits = model(torch.empty(2, 3, 64, 224, 224))
    assert logits.shape == (2, 400)
    expected = {
        "Conv3d_1a_7x7": (64, 32, 112, 112),
        "MaxPool3d_2a_3x3": (64, 32, 56, 56),
        "Conv3d_2c_3x3": (192, 32, 56, 56),
        "MaxPool3d_3a_3x3": (192, 32, 28, 28),
        "Mixed_3b": (256, 32, 28, 28),
        "Mixed_3c": (480, 32, 28, 28),
        "MaxPool3d_4a_3x3": (480, 16, 14, 14),
        "Mixed_4b": (512, 16, 14, 14),
        "Mixed_4e": (528, 16, 14, 14),
        "Mixed_4f": (832, 16, 14, 14),
        "MaxPool3d_5a_2x2": (832, 8, 7, 7),
        "Mixed_5b": (832, 8, 7, 7),
        "Mixed_5c": (1024, 8, 7, 7),
        "logits": (400, 7, 1, 1),
    }
    assert {name: sizes[name] for name in expected} == expected
    order = [name for name in sizes if name in expected]
    assert order == list(expected)


def test_names_and_numbers_of_the_published_weights(model):
    """57 units of five tensors and the logits' two; 12 287 264 parameters without the logits, as pytorch-i3d has."""
    names = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert len(names) == 57 * 5 + 2
    assert {
        "Conv3d_1a_7x7.conv3d.weight",
        "Conv3d_1a_7x7.bn.weight",
        "Conv3d_2b_1x1.bn.running_mean",
        "Conv3d_2c_3x3.bn.running_var",
        "Mixed_3b.b0.conv3d.weight",
        "Mixed_3c.b1a.bn.bias",
        "Mixed_4f.b1b.conv3d.weight",
        "Mixed_5b.b2a.conv3d.weight",
        "Mixed_5b.b2b.conv3d.weight",
        "Mixed_5c.b3b.conv3d.weight",
        "logits.conv3d.weight",
        "logits.conv3d.bias",
    } <= names
    assert not any(".b3a." in name for name in names)  # pooling
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters - 400 * (1024 + 1) == 12_287_264


def test_logits_are_averaged_over_time(model):
    """Mean over each two neighbours of the last stage, then over all pairs, as the original graph does."""
    last: list[torch.Tensor] = []
    hook = model.Mixed_5c.register_forward_hook(lambda *call: last.append(call[2]))
    logits = model(torch.rand(2, 3, 25, 32, 32) * 2 - 1)
    hook.remove()
    stage = last[0][..., 0, 0].double()
    assert stage.shape == (2, 1024, 4) and stage.std(dim=2).mean() > 0.05 * stage.mean()
    pooled = stage @ torch.tensor([1 / 6, 1 / 3, 1 / 3, 1 / 6], dtype=torch.float64)
    expected = pooled @ model.logits.conv3d.weight[..., 0, 0, 0].double().T + model.logits.conv3d.bias
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["as VideoGPT wrote it", "as PyTorch writes it", "safetensors"])
def test_weights_are_read(model, tmp_path, kind):
    state = model.state_dict()
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    path = tmp_path / ("i3d.safetensors" if kind == "safetensors" else "i3d_pretrained_400.pt")
    if kind == "safetensors":
        save_file(older, path)
    else:
        torch.save(older if kind == "as VideoGPT wrote it" else state, path)
    read = I3D.from_file(path)
    assert not read.training
    assert not any(parameter.requires_grad for parameter in read.parameters())
    for name, tensor in older.items():
        assert torch.equal(read.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("Mixed_4c.b1b.bn.running_var"), r"missing .*Mixed_4c\.b1b\.bn\.running_var"),
        (lambda state: state.update(extra=torch.zeros(1)), "left.*extra"),
        (
            lambda state: state.update({"logits.conv3d.bias": torch.zeros(600)}),
            r"logits\.conv3d\.bias .*\[600\] instead of \[400\]",
        ),
        (lambda state: state.clear(), "holds no weights"),
    ],
)
def test_other_weights_are_refused(model, tmp_path, change, named):
    state = dict(model.state_dict())
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=named) as error:
        I3D.from_file(tmp_path / "weights.pt")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_one_with_code(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*absent\.pt"):
        I3D.from_file(tmp_path / "absent.pt")
    torch.save(nn.ReLU(), tmp_path / "code.pt")
    with pytest.raises(InputError, match=r"code .* never run"):
        I3D.from_file(tmp_path / "code.pt")
