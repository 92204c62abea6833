"""The stand-ins for torchvision's operators, against definitions written out sample by sample and closed forms."""

import numpy as np
import pytest
import torch

from musedance.prepare.densepose_ops import nms, provide_torchvision_ops, roi_align


def random_boxes(count: int, seed: int, extent: float = 100.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * extent
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * extent / 2], 1)


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
def test_each_box_stays_unless_a_better_one_that_stays_covers_it(threshold: float) -> None:
    boxes, scores = random_boxes(300, 0), torch.rand(300, generator=torch.Generator().manual_seed(1))
    expected: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if all(overlap(boxes[index].tolist(), boxes[kept].tolist()) <= threshold for kept in expected):
            expected.append(index)
    assert nms(boxes, scores, threshold).tolist() == expected
    assert 1 < len(expected) < 300


def test_suppression_of_nothing_and_of_twins() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    twins = torch.tensor([[0.0, 0, 10, 10]] * 3)
    assert nms(twins, torch.tensor([0.1, 0.9, 0.5]), 0.5).tolist() == [1]


def bilinear(cells: np.ndarray, y: float, x: float) -> float:
    """0 more than a cell outside, else the picture continued by its border."""
    height, width = cells.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    top = cells[y0, x0] * (1 - x + x0) + cells[y0, x1] * (x - x0)
    bottom = cells[y1, x0] * (1 - x + x0) + cells[y1, x1] * (x - x0)
    return top * (1 - y + y0) + bottom * (y - y0)


def bins_by_samples(
    cells: np.ndarray, box: list[float], bins: tuple[int, int], ratio: int, aligned: bool
) -> np.ndarray:
    """RoIAlign of one region of one channel, written out."""
    x0, y0, x1, y1 = (value - (0.5 if aligned else 0.0) for value in box)
    width, height = x1 - x0, y1 - y0
    if not aligned:
        width, height = max(width, 1.0), max(height, 1.0)
    bin_height, bin_width = height / bins[0], width / bins[1]
    rows, columns = (ratio, ratio) if ratio > 0 else (int(np.ceil(bin_height)), int(np.ceil(bin_width)))
    result = np.zeros(bins)
    for i, j in np.ndindex(*bins):
        samples = [
            bilinear(cells, y0 + (i + (r + 0.5) / rows) * bin_height, x0 + (j + (c + 0.5) / columns) * bin_width)
            for r in range(rows)
            for c in range(columns)
        ]
        result[i, j] = np.mean(samples)
    return result


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_bins_are_means_of_bilinear_samples_also_across_the_border(ratio: int, aligned: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 3, 11, 15, generator=generator)
    boxes = torch.rand(12, 2, generator=generator) * 18 - 4
    boxes = torch.cat([boxes, boxes + torch.rand(12, 2, generator=generator) * 12], 1)
    image = torch.arange(12) % 2
    pooled = roi_align(features, torch.cat([image[:, None].float(), 4 * boxes], 1), 0.25, 3, 4, ratio, aligned)
    for index in range(12):
        for channel in range(3):
            cells = features[image[index], channel].double().numpy()
            expected = bins_by_samples(cells, boxes[index].tolist(), (3, 4), ratio, aligned)
            np.testing.assert_allclose(pooled[index, channel].numpy(), expected, atol=1e-4)


def test_a_ramp_gives_the_middles_of_the_bins() -> None:
    features = torch.arange(20.0).repeat(20, 1)[None, None]  # the column's number
    pooled = roi_align(features, torch.tensor([[0.0, 4.5, 4.5, 12.5, 12.5]]), 1.0, 2, 4, 0, True)
    assert pooled.shape == (1, 1, 2, 4)
    np.testing.assert_allclose(pooled[0, 0].numpy(), [[5, 7, 9, 11]] * 2, atol=1e-5)


def test_no_regions_and_regions_far_outside_give_no_and_zero_features() -> None:
    features = torch.ones(1, 2, 8, 8)
    assert roi_align(features, torch.zeros(0, 5), 1.0, 7, 7, 0, True).shape == (0, 2, 7, 7)
    assert not roi_align(features, torch.tensor([[0.0, 50, 50, 60, 60]]), 1.0, 7, 7, 0, True).any()


def test_the_operators_are_found_under_torchvisions_names() -> None:
    provide_torchvision_ops()
    provide_torchvision_ops()  # again: nothing happens
    boxes, scores = random_boxes(30, 3), torch.rand(30, generator=torch.Generator().manual_seed(4))
    assert torch.equal(torch.ops.torchvision.nms(boxes, scores, 0.3), nms(boxes, scores, 0.3))
    features, rois = torch.rand(1, 4, 30, 30), torch.cat([torch.zeros(30, 1), boxes], 1)
    found = torch.ops.torchvision.roi_align(features, rois, 0.25, 7, 7, 2, True)
    torch.testing.assert_close(found, roi_align(features, rois, 0.25, 7, 7, 2, True))
