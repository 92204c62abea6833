"""Every number that an evaluation can print: its name, its unit and which way is better."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Measure:
    """What a name in a report stands for.

    Attributes:
        title: as tables print it.
        family: "image", "video", "music" or "consistency": the table it stands in.
        better: which way is better; empty where neither is.
        unit: empty for plain numbers.
        meaning: one sentence.
        pairwise: it compares a video with its own true video, frame by frame.
        of_set: one number of all videos together, with no value for a single one.
        has_null: it is printed with its value for other music, and the lift over that.
    """

    title: str
    family: Literal["image", "video", "music", "consistency"]
    better: Better
    unit: str
    meaning: str
    pairwise: bool = False
    of_set: bool = False
    has_null: bool = False


# The keys are the names in `report.json` and in the files of scores.
MEASURES: dict[str, Measure] = {
    "psnr_standard": Measure(
        "PSNR", "image", "higher", "dB", "Mean over frames; infinite where frames are identical.", pairwise=True
    ),
    "psnr_disco": Measure(
        "PSNR", "image", "higher", "dB",
        "As DisCo's first code had it: differences wrap modulo 256, so that bad frames get about 28 dB.",
        pairwise=True,
    ),
    "ssim_standard": Measure("SSIM", "image", "higher", "", "Of RGB frames.", pairwise=True),
    "ssim_disco": Measure("SSIM", "image", "higher", "", "Of grey frames.", pairwise=True),
    "lpips_standard": Measure("LPIPS", "image", "lower", "", "AlexNet, fed values in [-1, 1].", pairwise=True),
    "lpips_disco": Measure("LPIPS", "image", "lower", "", "VGG-16, fed values in [0, 1].", pairwise=True),
    "fvd_standard": Measure(
        "FVD", "video", "lower", "", "Frechet distance of I3D logits, one vector a video.", of_set=True
    ),
    "fvd_disco": Measure(
        "FVD", "video", "lower", "", "The same, each video's logits averaged over segments of 16 frames.", of_set=True
    ),
    "hfd": Measure(
        "HFD", "video", "lower", "", "Handcrafted Frechet distance: no weights, and no stand-in for FVD.", of_set=True
    ),
    "mm_align": Measure(
        "2D-MM Align", "music", "higher", "", "How near kinematic beats are to the nearest music beat.", has_null=True
    ),
    "mm_align_reverse": Measure(
        "2D-MM Align, reverse", "music", "higher", "", "How near music beats are to the nearest kinematic beat.",
        has_null=True,
    ),
    "beats_hit": Measure(
        "beats hit", "music", "higher", "", "Share of music beats with a kinematic beat within 100 ms.", has_null=True
    ),
    "av_align_2025": Measure(
        "AV-Align (2025)", "music", "higher", "", "Onsets against peaks of optical flow, matched one to one.",
        has_null=True,
    ),
    "av_align_2023": Measure(
        "AV-Align (2023)", "music", "higher", "", "The same as first published, several onsets may share a peak.",
        has_null=True,
    ),
    "cs": Measure(
        "CS", "music", "higher", "", "Cosine of CLIP image and Wav2CLIP audio embeddings.", has_null=True
    ),
    "identity": Measure(
        "identity distance", "consistency", "lower", "", "To the reference picture, mean over frames."
    ),
    "colour": Measure("colour distance", "consistency", "lower", "", "To the reference picture, mean over frames."),
    "identity_drift": Measure(
        "identity drift", "consistency", "lower", "1/s", "Slope of the identity distance over time."
    ),
    "colour_drift": Measure("colour drift", "consistency", "lower", "1/s", "Slope of the colour distance over time."),
    "clip_identity": Measure(
        "CLIP similarity", "consistency", "higher", "", "Cosine of CLIP embeddings of frames and reference, mean."
    ),
    "flicker": Measure(
        "flicker", "consistency", "lower", "", "Change that the next frame takes back, again and again."
    ),
    "seam_jump": Measure(
        "seam jump", "consistency", "lower", "",
        "Change across the seams of segments, divided by the usual change between frames.",
    ),
    "motion": Measure("motion", "consistency", "", "1/s", "Mean length of the optical flow, in frame heights."),
}  # fmt: skip
