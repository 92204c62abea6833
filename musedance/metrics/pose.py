"""Where a dancer's joints are: from a pose model, or read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musedance.errors import InputError

MIN_SCORE = 0.3  # what MMPose, where ViTPose comes from, draws by default


@dataclass(frozen=True)
class PoseModel:
    """ViTPose (Xu et al., arXiv 2204.12484) as transformers has it, such as usyd-community/vitpose-base-simple.

    Published weights give the 17 keypoints of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles,
    the left before the right. Pictures are prepared by transformers' PIL backend, so that torchvision is not needed.

    Attributes:
        model: `VitPoseForPoseEstimation` in float32, on its device.
        processor: cuts persons out of pictures, and reads joints from heat maps.
    """

    model: Any
    processor: Any

    @classmethod
    def from_pretrained(cls, path_or_id: str, device: str = "auto") -> PoseModel:
        """Load a folder or hub id in transformers' format.

        Args:
            path_or_id: of a ViTPose or ViTPose++.
            device: as in `musedance.device.choose_device`.

        Raises:
            InputError: it cannot be read or downloaded, or its weights do not fit.
        """
        import torch
        from transformers import VitPoseForPoseEstimation, VitPoseImageProcessorPil

        from musedance.device import choose_device
        from musedance.weights.pretrained import load_model, load_part

        processor = load_part(VitPoseImageProcessorPil, path_or_id, "the pose model's image processor")
        model, _ = load_model(VitPoseForPoseEstimation, path_or_id, "the pose model", dtype=torch.float32)
        return cls(model.to(choose_device(device)).eval(), processor)

    def joints(
        self, frames: np.ndarray, boxes: np.ndarray | None = None, batch: int = 16
    ) -> tuple[np.ndarray, np.ndarray]:
        """The joints of the one dancer of a video.

        Args:
            frames: `(n, H, W, 3)` uint8 RGB.
            boxes: `(n, 4)` x0, y0, x1, y1 in pixels: where the dancer is, as a detector gives it. The whole frame
                unless given, which is right for a dancer who fills it.
            batch: frames that go through the model together.

        Returns:
            Joints `(n, J, 2)` float64 in pixels (x, y), and which are visible, `(n, J)` bool: those whose score, the
            top of their heat map, is above `MIN_SCORE`. The places of the others mean nothing.
        """
        if boxes is None:
            boxes = np.tile([0.0, 0.0, frames.shape[2], frames.shape[1]], (len(frames), 1))
        corners, sizes = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        coco_boxes = np.concatenate([corners, sizes], axis=1)
        parts = [
            self._joints(frames[start : start + batch], coco_boxes[start : start + batch])
            for start in range(0, len(frames), batch)
        ]
        joints, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return joints.astype(np.float64), scores > MIN_SCORE

    def _joints(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(n, H, W, 3)` and `(n, 4)` corner and size -> `(n, J, 2)` and scores `(n, J)`."""
        import torch

        one_each = [[box] for box in boxes.tolist()]
        inputs = self.processor(
            images=list(frames), boxes=one_each, input_data_format="channels_last", return_tensors="pt"
        ).to(self.model.device)
        if self.model.config.backbone_config.num_experts > 1:  # ViTPose++; its first expert is COCO's
            inputs["dataset_index"] = torch.zeros(len(frames), dtype=torch.int64, device=self.model.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        found = [people[0] for people in self.processor.post_process_pose_estimation(outputs, boxes=one_each)]
        return np.stack([one["keypoints"].numpy() for one in found]), np.stack([one["scores"].numpy() for one in found])


def read_keypoints(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the joints of a clip that somebody else found, or that were drawn (the truth of a puppet dataset).

    Args:
        path: a `.safetensors` file with `joints`, `(n, J, 2)` floats in pixels (x, y), and, unless all joints are
            seen in all frames, `visible`, `(n, J)` bool.

    Returns:
        Joints `(n, J, 2)` float64 and visible `(n, J)` bool.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError(f"there is no file of keypoints {path}")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:  # also dtypes unknown to numpy
        raise InputError(f"cannot read {path} as .safetensors: {str(error).splitlines()[0]}") from error
    joints = tensors.get("joints")
    if joints is None:
        raise InputError(f"{path} has no `joints`, only {', '.join(sorted(tensors)) or 'nothing'}")
    if joints.ndim != 3 or joints.shape[2] != 2 or not joints.size or not np.issubdtype(joints.dtype, np.floating):
        raise InputError(f"{path}: `joints` must be (frames, joints, 2) floats, not {_kind(joints)}")
    if not np.isfinite(joints).all():
        raise InputError(f"{path}: `joints` has values that are not finite; give any place, and false in `visible`")
    visible = tensors.get("visible", np.ones(joints.shape[:2], bool))
    if visible.shape != joints.shape[:2] or visible.dtype != bool:
        raise InputError(f"{path}: `visible` must be {joints.shape[:2]} bool, not {_kind(visible)}")
    return joints.astype(np.float64), visible


def _kind(array: np.ndarray) -> str:
    return f"{array.shape} {array.dtype}"
