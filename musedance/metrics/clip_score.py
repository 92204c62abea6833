"""How well pictures go with music or with another picture, in CLIP's space."""

import numpy as np

from musedance.errors import InputError


def clip_score(image_embeddings: np.ndarray, audio_embedding: np.ndarray) -> float:
    """CS of DabFusion (arXiv 2405.09266): cosine of the CLIP embeddings of a video and Wav2CLIP's of its music.

    The paper does not say how a video's frames become one number; here it is the mean of their cosines.

    Args:
        image_embeddings: `(n, d)`, one a frame, n at least 1.
        audio_embedding: `(d,)`.

    Returns:
        Between -1 and 1.

    Raises:
        InputError: the embeddings are of different width.
    """
    return float(_cosines(image_embeddings, audio_embedding, "the music's").mean())


def clip_similarity(frame_embeddings: np.ndarray, reference_embedding: np.ndarray) -> np.ndarray:
    """Cosine of the CLIP embeddings of each frame and of the reference picture.

    Args:
        frame_embeddings: `(n, d)`.
        reference_embedding: `(d,)`.

    Returns:
        `(n,)` float64 between -1 and 1.

    Raises:
        InputError: the embeddings are of different width.
    """
    return _cosines(frame_embeddings, reference_embedding, "the reference's")


def _cosines(frames: np.ndarray, other: np.ndarray, whose: str) -> np.ndarray:
    """`(n, d)` and `(d,)` -> `(n,)`."""
    if frames.shape[1] != len(other):
        raise InputError(
            f"the CLIP embeddings of the frames are {frames.shape[1]} wide, {whose} {len(other)}: "
            "both have to be of the same CLIP; Wav2CLIP's is ViT-B/32, 512 wide"
        )
    frames, other = frames.astype(np.float64), other.astype(np.float64)
    return frames @ other / (np.linalg.norm(frames, axis=1) * np.linalg.norm(other))
