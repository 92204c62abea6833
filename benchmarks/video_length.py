"""Peak memory of `musedance infer` for a short and a long video: it must not grow with the length.

    python benchmarks/video_length.py --model FOLDER
    python benchmarks/video_length.py --model FOLDER --seconds 10 60 --size 128

Each video is made in a process of its own from examples/; its peak is what the operating system reports when it ends.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from musedance.media.audio import read_audio

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def make_video(options: argparse.Namespace, track: Path, seconds: float, folder: Path) -> tuple[float, float]:
    """Seconds it took and peak resident memory in MiB."""
    command = [sys.executable, "-m", "musedance", "infer", "--model", str(options.model), "--music", str(track)]
    command += ["--image", str(EXAMPLES / "dancer.png"), "--prompt", "a dance", "--duration", str(seconds)]
    command += ["--steps", str(options.steps), "--output", str(folder / f"{seconds}.mp4"), "--seed", "0"]
    if options.size:
        command += ["--size", options.size]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # Popen would wait for it again
    if process.returncode:
        raise SystemExit(f"infer ended with exit code {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Print a table of lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        track = read_audio(EXAMPLES / "beat_120bpm.mp3")
        repeats = int(np.ceil(max(options.seconds) / track.duration)) + 1
        # The same long track for all, since the whole of it is read for its beats.
        soundfile.write(folder / "long.wav", np.tile(track.samples, repeats).T, track.sampling_rate)
        print("| video | time | peak memory | ratio |\n|---|---|---|---|")
        first = None
        for seconds in options.seconds:
            took, peak = make_video(options, folder / "long.wav", seconds, folder)
            first = first or peak
            print(f"| {seconds:g} s | {took:.1f} s | {peak:.0f} MiB | {peak / first:.3f} |", flush=True)


if __name__ == "__main__":
    main()
