"""A made-up report is drawn and read as a browser would: all its numbers, no markup out of data, nothing loaded."""

import base64
import io
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio
from musedance.media.video import VideoReader
from musedance.report.catalog import MEASURES
from musedance.report.page import write_page
from musedance.report.results import Curve, Null, Report, Result, System, Table, VideoRow
from musedance.report.side_by_side import SideBySide, compose, spread_evenly

HOSTILE = "</script><script>alert(1)</script>\"><img src=x onerror=alert(1)> ' onload=x &lt;b> $title </style>"
WEIGHTS = "not computed: weights missing; give --lpips-weights FILE, or let --download fetch them (9 MB)"
FEW_FRAMES = (
    "10 frames a second are too few to tell right music from wrong: no conclusion can be drawn from this score."
)
TYPICAL = {
    "psnr_standard": 21.4, "psnr_disco": 21.4, "ssim_standard": 0.72, "ssim_disco": 0.74, "fvd_standard": 611.0,
    "fvd_disco": 588.0, "hfd": 3.1, "mm_align": 0.62, "mm_align_reverse": 0.55, "beats_hit": 0.48,
    "av_align_2025": 0.31, "av_align_2023": 0.41, "cs": 0.12, "identity": 0.21, "colour": 0.08,
    "identity_drift": 0.0142, "colour_drift": 0.00213, "clip_identity": 0.91, "flicker": 0.0061, "seam_jump": 1.31,
    "motion": 0.33,
}  # fmt: skip


def result(measure: str, rng: np.random.Generator, good: bool, n: int) -> Result:
    """What such a number may look like; music is followed only where `good`."""
    value = TYPICAL[measure] * float(rng.uniform(0.9, 1.1))
    width = 0.05 * value
    nulls = []
    if MEASURES[measure].has_null:
        for kind in ("other music", "half a beat late"):
            lift = float(rng.uniform(0.08, 0.2) if good else rng.uniform(-0.005, 0.01))
            nulls.append(Null(kind, value - lift, lift, (lift - 0.03, lift + 0.03), 0.005 if good else 0.41))
        nulls[1] = replace(nulls[1], p_value=None)
    warnings = (f"{n} clips are fewer than 256: the distance is biased upwards.",) if "fvd" in measure else ()
    warnings += (FEW_FRAMES,) if nulls else ()
    excluded = {"clip-07": "frozen: no kinematic beats"} if "mm_align" in measure else {}
    interval = None if MEASURES[measure].of_set else (value - width, value + width)
    return Result(measure, value, interval, n - len(excluded), "", warnings, tuple(nulls), excluded)


def results(rng: np.random.Generator, good: bool, n: int) -> dict[str, Result]:
    return {measure: result(measure, rng, good, n) for measure in TYPICAL}


def curve(title: str, rng: np.random.Generator, rise: float, marks: list[float]) -> Curve:
    times = [k / 6 for k in range(73)]
    mean = [0.1 + rise * t + 0.01 * float(rng.standard_normal()) for t in times]
    band = [0.02 + 0.003 * t for t in times]
    low, high = ([m + sign * b for m, b in zip(mean, band, strict=True)] for sign in (-1, 1))
    return Curve(title, "distance", times, mean, low, high, 40, marks)


def video(number: int, rng: np.random.Generator, scores: Mapping[str, Result], late: float) -> VideoRow:
    seconds = np.arange(48) / 12
    speed = 0.35 + 0.3 * np.cos(2 * np.pi * 2 * (seconds - late)) + 0.04 * rng.standard_normal(48)
    beats = {
        "music": [0.25 + 0.5 * k for k in range(8)],
        "kinematic": [] if number == 7 else [0.25 + late + 0.5 * k for k in range(7)],
        "onsets": [0.25 * k for k in range(16)],
        "flow peaks": [0.5 * k + late for k in range(8)],
    }
    values = {
        key: None if number == 7 and "mm_align" in key else found.value * float(rng.uniform(0.8, 1.2))
        for key, found in scores.items()
        if found.value is not None and not MEASURES[key].of_set
    }
    groups = {"genre": ("waltz", "house", "techno")[number % 3], "kind": ("person", "cat")[number % 2]}
    notes = ("The picture does not move.",) if number == 7 else ()
    pairs = [(float(t), float(v)) for t, v in zip(seconds, speed, strict=True)]
    return VideoRow(
        f"clip-{number:02}", f"videos/clip-{number:02}.mp4", "she turns", groups, values, notes, beats, pairs
    )


def system(name: str, seed: int, good: bool) -> System:
    rng = np.random.default_rng(seed)
    found = results(rng, good, 40)
    groups = {
        "genre": {genre: results(rng, good, 13) for genre in ("waltz", "house", "techno")},
        "kind": {kind: results(rng, good, 20) for kind in ("person", "cat")},
    }
    marks = [] if good else [4.0, 8.0]
    curves = {
        "identity": curve("Identity distance to the reference", rng, 0.002 if good else 0.02, marks),
        "colour": curve("Colour distance to the reference", rng, 0.001 if good else 0.012, marks),
    }
    rows = tuple(video(number, rng, found, 0.0 if good else 0.13) for number in range(40))
    about = "the dataset's own videos" if good else "musedance 0.1, 30 steps, guidance 7.5"
    return System(name, about, found, groups, curves, rows, {} if good else {"clip-40": "the file is cut off"})


def made_up() -> Report:
    """A generated system and the ground truth, with all that can be missing, infinite or undefined."""
    generated, truth = system("generated", 1, False), system("ground truth", 2, True)
    missing = {key: Result(key, None, None, 0, WEIGHTS) for key in ("lpips_standard", "lpips_disco")}
    undefined = Result("seam_jump", None, None, 0, "undefined: one segment has no seams")
    infinite = Result("psnr_standard", math.inf, None, 40)
    generated = replace(generated, results={**generated.results, **missing})
    truth = replace(truth, results={**truth.results, **missing, "seam_jump": undefined, "psnr_standard": infinite})
    ablation = Table(
        "Trainings, one module after the other",
        ("modules", "PSNR", "FVD", "lift of 2D-MM Align"),
        (("none", "18.1", "912", "no lift shown"), ("+ music", "18.3", "877", "+0.012")),
        "Each row is a training of its own.",
    )
    return Report(
        "Evaluation of puppets-tiny on the test split",
        ("40 of 41 videos were generated and scored.", "Ground truth shows lift on all scores of music."),
        (generated, truth),
        {"command": ["musedance", "evaluate", "--model", "tiny"], "seeds": {"generation": 0, "bootstrap": 1},
         "weights": {"i3d": {"sha256": "b8a31f" * 10, "bytes": 50_000_000}}, "fps": 10.0},
        (ablation,),
    )  # fmt: skip


def drawn(count: int, size: tuple[int, int], seconds: float = 2.0) -> np.ndarray:
    """A bright square that moves over a gradient."""
    height, width = size
    frames = np.zeros((round(seconds * 12), height, width, 3), np.uint8)
    frames[..., 2] = np.linspace(40, 160, width)
    for number, frame in enumerate(frames):
        left = (number * 3 + count * 7) % (width - 16)
        frame[height // 3 : height // 3 + 16, left : left + 16] = (240, 180, 60)
    return frames


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[SideBySide]:
    folder = tmp_path_factory.mktemp("videos")
    tone = Audio(0.3 * np.sin(np.arange(88200) * 0.05)[None].astype(np.float32), 44100)
    shown = []
    for number in spread_evenly(range(40), 4):
        path, frames = folder / f"{number}.mp4", drawn(number, (64, 64))
        compose(path, frames[0], frames, drawn(number + 1, (64, 64)), 12.0, tone, height=96)
        content = path if number else path.read_bytes()  # either is taken
        shown.append(SideBySide(f"clip-{number:02}", "she turns", ("waltz", "12 fps"), content, "PSNR 21.3 dB"))
    return shown


class Page(HTMLParser):
    """The page's tags with their attributes, those of cells with their text; all text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []  # of each tag; empty for what is no cell
        self.cell: int | None = None  # the tag that is open
        self.text = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        if tag in ("td", "th", "tr"):
            self.cell = len(self.tags) - 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text += data
            if self.cell is not None:
                self.texts[self.cell] += data

    def cells(self, **data: str | None) -> list[str]:
        """Texts of the cells with these data-attributes."""
        wanted = {f"data-{key}": value for key, value in data.items()}
        return [
            text
            for (tag, found), text in zip(self.tags, self.texts, strict=True)
            if tag == "td" and all(found.get(key) == value for key, value in wanted.items())
        ]

    def all(self, tag: str, css_class: str = "") -> list[dict[str, str | None]]:
        return [
            found for name, found in self.tags if name == tag and css_class in (found.get("class") or "").split(" ")
        ]


@pytest.fixture(scope="module")
def page(videos: list[SideBySide], tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_page(made_up(), tmp_path_factory.mktemp("page") / "report.html", videos))


def numbers(text: str) -> list[float]:
    signs = text.replace("\N{MINUS SIGN}", "-").replace("∞", "inf")
    return [float(found) for found in re.findall(r"[-+]?(?:\d+\.?\d*(?:e-?\d+)?|inf)", signs)]


def columns(report: Report) -> list[tuple[str, Mapping[str, Result]]]:
    """All results that are in tables, with the head of their column."""
    overall = [(system.name, system.results) for system in report.systems]
    grouped = [(name, found) for s in report.systems for groups in s.groups.values() for name, found in groups.items()]
    return overall + grouped


def test_every_number_of_the_results_is_on_the_page(page: Page) -> None:
    count = 0
    for column, found in columns(made_up()):
        for measure, result in found.items():
            if result.value is None:
                continue
            cells = page.cells(measure=measure, column=column, null=None)
            shown = [numbers(cell) for cell in cells]
            expected = [result.value, *(result.interval or ()), float(result.n)]
            assert any(row[: len(expected)] == pytest.approx(expected, rel=0.01) for row in shown), (column, measure)
            for null in result.nulls:
                cells = page.cells(measure=measure, column=column, null=null.kind)
                p_value = [] if null.p_value is None else [null.p_value]
                expected = [null.lift, *(null.interval or ()), null.value, *p_value]
                assert any(numbers(cell) == pytest.approx(expected, rel=0.01, abs=6e-4) for cell in cells)
            count += 1
    assert count > 7 * len(TYPICAL) - 5


def test_a_lift_whose_interval_holds_zero_is_marked(page: Page) -> None:
    for null in ("other music", "half a beat late"):
        assert all("no lift shown" in cell for cell in page.cells(column="generated", null=null))
        cells = page.cells(column="ground truth", null=null)
        assert len(cells) == 6 and not any("no lift" in cell for cell in cells)


def test_what_a_lift_says_depends_on_its_interval(tmp_path: Path) -> None:
    cases = {(0.01, 0.03): "lift", (0.0, 0.03): "no lift shown", (-0.03, -0.01): "below", None: "too few"}
    for interval, words in cases.items():
        null = Null("other music", 0.5, 0.02, interval, None)
        result = Result("cs", 0.52, None, 3, nulls=(null,))
        report = replace(made_up(), systems=(replace(system("a", 1, True), results={"cs": result}),))
        (cell,) = Page(write_page(report, tmp_path / "a.html", [])).cells(measure="cs", column="a", null="other music")
        assert re.search(rf"0 {words}|\] {words}", cell) and ("no lift" in cell) == ("no lift" in words)


def test_what_has_no_value_says_why_and_is_no_number(page: Page) -> None:
    assert not re.search(r"\bnan\b", page.text.lower()) and "None" not in page.text
    assert not page.cells(measure="lpips_standard") and not page.cells(measure="seam_jump", column="ground truth")
    merged = [found for found in page.all("td", "missing") if found.get("colspan")]
    assert len(merged) == 2  # both kinds of LPIPS, the same reason for all systems
    missing = [text for (tag, a), text in zip(page.tags, page.texts, strict=True) if a.get("class") == "missing"]
    short = WEIGHTS.split(";")[0]  # the cell says what is missing, the notice also what to do
    assert missing == [short, short, "undefined: one segment has no seams"] and WEIGHTS in page.text


def test_infinity_is_a_sign(page: Page) -> None:
    (cell,) = page.cells(measure="psnr_standard", column="ground truth", null=None)
    assert "∞" in cell and "n = 40" in cell


def test_warnings_stand_above_the_tables_each_once(page: Page) -> None:
    top = page.text[: page.text.index("Pictures, against the true video")]
    for words in (FEW_FRAMES, "40 clips are fewer than 256", WEIGHTS, "1 video could not be scored"):
        assert top.count(words) == 1, words
    assert "LPIPS (standard); LPIPS (DisCo):" in top and "seam jump of ground truth:" in top
    assert top.index("40 of 41 videos") < top.index(FEW_FRAMES)


def test_videos_left_out_are_listed_with_the_reason(page: Page) -> None:
    folded = page.text.split("Left out: generated")[1].split("Over time")[0]
    assert re.search(r"clip-40\s*everything\s*the file is cut off", folded)
    assert "2D-MM Align; 2D-MM Align, reverse" in folded and "frozen: no kinematic beats" in folded
    assert "n = 39, 1 left out" in page.cells(measure="mm_align", column="generated", null=None)[0]


def test_videos_can_be_played_from_the_page(page: Page, tmp_path: Path) -> None:
    found = page.all("video")
    assert len(found) == 4
    for number, video in enumerate(found):
        kind, content = (video["src"] or "").split(",")
        assert kind == "data:video/mp4;base64"
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(base64.b64decode(content))
        with VideoReader(io.BytesIO(path.read_bytes())) as reader:
            assert (reader.info.num_frames, reader.info.width, reader.info.height) == (24, 3 * 96 + 8, 116)
            middle = reader.frames_at([1.0])[0]
        assert read_audio(path).duration == pytest.approx(2, abs=0.01)
        poster = Image.open(io.BytesIO(base64.b64decode((video["poster"] or "").split(",")[1])))
        assert np.abs(np.asarray(poster).astype(float) - middle).mean() < 4


def test_the_page_says_which_videos_it_shows(page: Page, videos: list[SideBySide], tmp_path: Path) -> None:
    words = (
        "4 of 40 videos, spread evenly over the list, not chosen by their scores: clip-00, clip-13, clip-26, clip-39."
    )
    assert words in page.text
    few = replace(made_up().systems[0], videos=made_up().systems[0].videos[:1])
    every = write_page(replace(made_up(), systems=(few,)), tmp_path / "a.html", videos[:1])
    assert "1 of 1 video, all of them: clip-00." in Page(every).text


def test_beats_are_drawn_for_each_system_of_a_video(page: Page) -> None:
    assert page.html.count('<div class="beats">') == 8
    assert len(page.all("svg", "curve")) == 8 and len(page.all("svg", "lane")) == 4 * 8


def test_there_is_a_plot_for_each_curve_and_each_null(page: Page) -> None:
    names = [found["aria-label"] for found in page.all("svg") if found.get("aria-label")]
    assert names == [
        "lift over other music", "lift over half a beat late", "Identity distance to the reference",
        "Colour distance to the reference",
    ]  # fmt: skip


def test_each_video_has_a_row_with_its_scores(page: Page) -> None:
    rows = page.text.split("generated: 40 videos")[1]
    for number in range(40):
        assert f"clip-{number:02}" in rows
    report = made_up()
    line = page.html.split("<th>clip-07")[-2].split("<tr>")[0]
    assert line.count("<td>undefined") == 2 and "The picture does not move." in line
    value = report.systems[0].videos[12].scores["ssim_disco"]
    assert f"<td>{value:.3f}" in page.html.split("<th>clip-12")[1].split("<tr>")[0]


def test_our_numbers_stand_beside_the_papers(page: Page) -> None:
    section = page.text.split("The papers' numbers beside ours")[-1]
    assert section.count("ours: generated") == section.count("ours: ground truth") == 6
    assert (section.count("generatedDisCo mode"), section.count("generatedstandard mode")) == (2, 3)
    for words in ("29.59", "311.04", "0.680", "10 test videos", "Sigma of 2D-MM Align is not stated", "No null"):
        assert words in section
    value = made_up().systems[0].results["psnr_disco"].value or 0.0
    assert f"{value:.2f}" in section and "no value" in section  # LPIPS has no weights


def test_provenance_and_further_tables_are_shown_whole(page: Page) -> None:
    for words in ("weights.i3d.sha256", "b8a31f" * 10, "musedance, evaluate, --model, tiny", "seeds.bootstrap"):
        assert words in page.text
    for words in ("Trainings, one module after the other", "+ music", "877", "Each row is a training of its own."):
        assert words in page.text


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    (policy,) = (found["content"] or "" for found in page.all("meta", "") if "http-equiv" in found)
    assert policy.startswith("default-src 'none'; media-src data:; img-src data:; style-src 'unsafe-inline';")
    assert "script" not in policy and not page.all("script")
    addresses = [
        value or "" for _, found in page.tags for key, value in found.items() if key in ("src", "href", "poster")
    ]
    assert addresses and all(
        address.startswith(("data:video/mp4;base64,", "data:image/jpeg;base64,", "#")) for address in addresses
    )
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    assert "url(" not in page.html and "@import" not in page.html and "http:" not in page.html


def test_links_lead_to_sections(page: Page) -> None:
    ids = {found["id"] for _, found in page.tags if "id" in found}
    links = [found["href"] or "" for found in page.all("a")]
    assert len(links) == 8 and {link[1:] for link in links} == ids


def test_text_of_the_data_stays_text(videos: list[SideBySide], page: Page, tmp_path: Path) -> None:
    """Every text of the report is replaced; what the page is made of must stay the same."""
    report = made_up()

    def poisoned(found: Mapping[str, Result]) -> dict[str, Result]:
        return {
            key: replace(
                result,
                reason=result.reason and HOSTILE,
                warnings=tuple(HOSTILE for _ in result.warnings),
                nulls=tuple(replace(null, kind=f"{HOSTILE}{place}") for place, null in enumerate(result.nulls)),
                excluded=dict.fromkeys((HOSTILE for _ in result.excluded), HOSTILE),
            )
            for key, result in found.items()
        }

    systems = tuple(
        System(
            f"{HOSTILE}{place}", HOSTILE, poisoned(old.results),
            {HOSTILE: {f"{HOSTILE}{name}": poisoned(found) for name, found in old.groups["kind"].items()}},
            {name: replace(curve, title=HOSTILE, unit=HOSTILE) for name, curve in old.curves.items()},
            tuple(
                replace(row, id=row.id + HOSTILE, groups={HOSTILE: HOSTILE}, notes=(HOSTILE,), prompt=HOSTILE,
                        beats={HOSTILE: row.beats["music"]})
                for row in old.videos
            ),
            {HOSTILE: HOSTILE},
        )
        for place, old in enumerate(report.systems)
    )  # fmt: skip
    table = Table(HOSTILE, (HOSTILE, HOSTILE), ((HOSTILE, HOSTILE),), HOSTILE)
    hostile = Report(HOSTILE, (HOSTILE,), systems, {HOSTILE: [{HOSTILE: HOSTILE}]}, (table,))
    shown = [SideBySide(v.id + HOSTILE, HOSTILE, (HOSTILE,), v.video, HOSTILE) for v in videos]
    drawn = Page(write_page(hostile, tmp_path / "hostile.html", shown))
    assert {tag for tag, _ in drawn.tags} <= {tag for tag, _ in page.tags} | {"title"}
    assert not [key for _, found in drawn.tags for key in found if key.startswith("on")]
    assert drawn.text.count("<img src=x onerror=alert(1)>") > 200 and "$title" in drawn.text
    assert len(drawn.all("video")) == 4 and len(drawn.all("article")) == 4


def test_a_report_with_nothing_in_it_is_a_page(tmp_path: Path) -> None:
    empty = Report("Nothing", (), (System("generated", "", {}, {}, {}, (), {}),), {})
    page = Page(write_page(empty, tmp_path / "a.html", []))
    assert "0 videos scored" in page.text and [found["href"] for found in page.all("a")] == ["#papers"]


def test_the_page_is_the_same_each_time(videos: list[SideBySide], tmp_path: Path) -> None:
    first, second = (write_page(made_up(), tmp_path / name, videos).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(InputError, match="cannot be written"):
            write_page(made_up(), output, [])
    strange = replace(made_up().systems[0], results={"fid": Result("fid", 1.0, None, 1)})
    with pytest.raises(ValueError, match="fid"):
        write_page(replace(made_up(), systems=(strange,)), tmp_path / "a.html", [])
    gone = SideBySide("clip-00", "", (), tmp_path / "gone.mp4")
    with pytest.raises(OSError, match="gone"):
        write_page(made_up(), tmp_path / "a.html", [gone])
    assert not list(tmp_path.iterdir())
