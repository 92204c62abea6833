"""torchvision's two operators that exported detectors call, for machines without torchvision.

TorchScript archives of detectron2 models name `torchvision::nms` and `torchvision::roi_align`. torchvision itself is no
dependency of ours (beside another build of PyTorch than its own it cannot be imported), so these stand in for it.
"""

import contextlib
import importlib

import torch

_library: torch.library.Library | None = None  # kept: its operators vanish with it


def provide_torchvision_ops() -> None:
    """Make `torchvision::nms` and `torchvision::roi_align` exist: torchvision's own if it works here, else ours."""
    global _library
    with contextlib.suppress(Exception):  # absent, or built for another PyTorch, which fails in many ways
        importlib.import_module("torchvision")
    if hasattr(torch.ops.torchvision, "nms"):
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define(
        "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor"
    )
    _library.impl("nms", nms, "CompositeExplicitAutograd")
    _library.impl("roi_align", roi_align, "CompositeExplicitAutograd")


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression.

    Args:
        dets: (n, 4) boxes x0, y0, x1, y1.
        scores: (n,).
        iou_threshold: a box goes if it overlaps a better one that stays by more than this.

    Returns:
        (k,) int64: the boxes that stay, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = dets[order].float()
    corner = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    size = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - corner).clamp(min=0)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    overlap = size.prod(2)
    suppresses = (overlap > iou_threshold * (area[:, None] + area[None] - overlap)).cpu().numpy()
    gone = torch.zeros(len(boxes), dtype=torch.bool).numpy()
    kept = []
    for index in range(len(boxes)):
        if not gone[index]:
            kept.append(index)
            gone |= suppresses[index]
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def roi_align(
    input: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Average features over the bins of each region, with bilinear samples (RoIAlign, He et al., arXiv 1703.06870).

    The samples of a region lie on a grid, so that each value is rows-weights @ features @ columns-weights.

    Args:
        input: (pictures, channels, height, width).
        rois: (n, 5): picture of the batch, x0, y0, x1, y1 in pixels of the picture.
        spatial_scale: feature cells in a pixel.
        pooled_height: bins of a region, vertically.
        pooled_width: the same, horizontally.
        sampling_ratio: samples along each side of a bin; 0 or less: as many as the bin has cells, rounded up.
        aligned: shift by half a cell, so that cell centres are at .5 (detectron2's ROIAlignV2).

    Returns:
        (n, channels, pooled_height, pooled_width) of the dtype of `input`.
    """
    channels, height, width = input.shape[1:]
    corners = rois[:, 1:].float() * spatial_scale - (0.5 if aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = sizes.clamp(min=1.0)
    rows, top, bottom = _axis_weights(corners[:, 1], sizes[:, 1], pooled_height, sampling_ratio, height)
    columns, left, right = _axis_weights(corners[:, 0], sizes[:, 0], pooled_width, sampling_ratio, width)
    pooled = input.new_zeros(len(rois), channels, pooled_height, pooled_width)
    spans = torch.stack([rois[:, 0].long(), top, bottom, left, right], 1).tolist()
    for index, (image, y0, y1, x0, x1) in enumerate(spans):
        window = input[image, :, y0:y1, x0:x1].float()
        pooled[index] = (rows[index, :, y0:y1] @ window @ columns[index, :, x0:x1].T).to(input.dtype)
    return pooled


def _axis_weights(
    start: torch.Tensor, length: torch.Tensor, bins: int, ratio: int, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How much each of `size` cells counts for each bin along one axis.

    Returns:
        (n, bins, size) weights, and (n,) each the first cell with a weight and the one after the last.
    """
    width = length / bins
    samples = torch.full_like(width, ratio) if ratio > 0 else width.ceil().clamp(min=0)
    number = torch.arange(max(int(samples.max().item()) if len(samples) else 0, 1), device=start.device)
    bin_start = start[:, None] + torch.arange(bins, device=start.device) * width[:, None]  # (n, bins)
    step = width / samples.clamp(min=1)
    position = bin_start[:, :, None] + (number + 0.5) * step[:, None, None]  # (n, bins, samples)
    counts = (number < samples[:, None, None]) & (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.floor()
    share = position - low
    weight = counts / samples.clamp(min=1)[:, None, None]
    weights = position.new_zeros(len(start), bins, size)
    weights.scatter_add_(2, low.long(), weight * (1 - share))
    weights.scatter_add_(2, (low.long() + 1).clamp(max=size - 1), weight * share)
    used = weights.any(dim=1)
    first = used.int().argmax(dim=1)
    after = size - used.flip(1).int().argmax(dim=1)
    return weights, first, torch.where(used.any(dim=1), after, first)
