"""Numbers that the papers of this family print, with what has to be known before ours are held beside them.

MuseDance: Dong et al., "Every Image Listens, Every Image Dances", arXiv 2501.18801.
DabFusion: Wang et al., "Dance Any Beat", arXiv 2405.09266.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperTable:
    """A published table.

    Attributes:
        number: of the table.
        title: what it compares.
        measures: keys of `musedance.report.catalog.MEASURES`, ours that come nearest; a column each.
        rows: name and a value per measure.
        caveats: sentences about this table.
    """

    number: int
    title: str
    measures: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """Tables of one paper, and what is to be said of all of them."""

    title: str
    tables: tuple[PaperTable, ...]
    caveats: tuple[str, ...]


_DISCO = ("psnr_disco", "ssim_disco", "lpips_disco", "fvd_disco")
_ALIGNMENT = ("cs", "mm_align", "av_align_2023")

MUSEDANCE = Paper(
    "MuseDance (arXiv 2501.18801)",
    (
        PaperTable(
            2,
            "Quality of pictures and videos",
            _DISCO,
            (
                ("EDGE + DisCo", (27.68, 0.602, 0.266, 396.95)),
                ("MM-Diffusion", (28.81, 0.469, 0.297, 586.87)),
                ("MuseDance", (29.59, 0.680, 0.276, 311.04)),
            ),
        ),
        PaperTable(
            3,
            "Modules of the second stage",
            _DISCO,
            (
                ("none", (24.49, 0.611, 0.291, 738.69)),
                ("music", (24.63, 0.619, 0.283, 612.34)),
                ("music + motion", (28.88, 0.674, 0.277, 400.55)),
                ("music + motion + beat", (29.59, 0.680, 0.276, 311.04)),
            ),
            (
                "The text speaks of removing modules, the rows add them one after the other: a training each, the "
                "first stage frozen. Knocking a module out of one trained model is another experiment.",
            ),
        ),
    ),
    (
        "Means over 10 test videos, chosen at random and not listed, of 4 s at 12 frames a second; 640 x 640 in "
        "training. No intervals are printed.",
        "The evaluation is said to follow DisCo's, hence DisCo mode for ours; whether the code was the same is open.",
        "DisCo's published code for PSNR subtracts 8-bit pictures, so that differences below 0 wrap around "
        "(issue 86 of its repository). Whether these numbers were made so is not known. Ours wrap in mode disco only.",
        "FVD is biased upwards for few videos, strongly so for 10: it can be compared only at the same n.",
    ),
)

DABFUSION = Paper(
    "DabFusion (arXiv 2405.09266)",
    (
        PaperTable(
            1,
            "Quality of pictures and videos",
            ("fvd_standard", "lpips_standard", "psnr_standard", "ssim_standard"),
            (("MM-Diffusion", (180.31, 0.025, 34.81, 0.951)), ("DabFusion", (193.98, 0.033, 26.88, 0.959))),
            (
                "Which networks, value ranges and colours the scores use is not stated; ours are in standard mode.",
                "MM-Diffusion was trained on the front camera alone and generates at random, without reference.",
            ),
        ),
        PaperTable(
            3,
            "Alignment with the music",
            _ALIGNMENT,
            (("ground truth", (0.153, 0.223, 0.152)), ("DabFusion", (0.142, 0.215, 0.148))),
        ),
        PaperTable(
            5,
            "Length of the videos",
            (*_ALIGNMENT, "fvd_standard"),
            (("40 frames", (0.142, 0.215, 0.148, 193.98)), ("80 frames", (0.153, 0.219, 0.179, 194.84))),
            ("Longer videos hold more beats, which can change the scores whatever the dancing is like.",),
        ),
        PaperTable(
            6,
            "With and without beats as a condition",
            (*_ALIGNMENT, "fvd_standard"),
            (("without beats", (0.138, 0.202, 0.141, 194.44)), ("with beats", (0.142, 0.215, 0.148, 193.98))),
        ),
    ),
    (
        "AIST++ at 128 x 128: studio recordings of human dancers. 2106 videos, generated from first frame and music, "
        "but of 10 tracks only, and videos of one track are not independent. No intervals are printed.",
        "Sigma of 2D-MM Align is not stated, nor its unit: a larger sigma raises every score.",
        "No null is printed: what the same videos score against other music is unknown, and with it the lift.",
        "The frame rate is not stated. At the 10 a second of the published demos, right and wrong music score alike.",
        "AV-Align is the version of 2023, the only one there was. Frames and weights behind CS are not stated.",
    ),
)

PAPERS = (MUSEDANCE, DABFUSION)
