"""Many videos from one JSON-lines file, with one model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musedance.errors import InputError
from musedance.failures import BAD_INPUT, FAILED, complain, explain
from musedance.inference.job import Job, parse_line
from musedance.inference.studio import Settings, Studio


def run_jobs(file: str, defaults: Mapping[str, Any], settings: Settings) -> int:
    """Make a video of each line. A line that fails is reported with its number and does not stop the others.

    All lines are checked before the model is loaded. Paths are relative to the current folder.

    Args:
        file: JSON lines: an object with `Job`'s options each; blank lines are skipped.
        defaults: options that lines may override.
        settings: of the run.

    Returns:
        Exit code: 0 if all were made, 2 if one had bad input, else 1 if one failed.

    Raises:
        InputError: the file or the settings cannot be used.
        KeyboardInterrupt: with a message on what is done.
    """
    lines = _read_lines(file)
    studio = Studio(settings)
    codes: dict[int, int] = {}
    jobs: dict[int, Job] = {}
    for number, line in lines:
        try:
            jobs[number] = parse_line(line, defaults)
            _check_clash(number, jobs)
            studio.check(jobs[number])
        except Exception as error:
            codes[number] = explain(error, where=f"line {number}: ")
            jobs.pop(number, None)
    number = 0
    try:
        for number, job in jobs.items():
            try:
                print(studio.make(job, studio.check(job)), flush=True)
            except Exception as error:
                codes[number] = explain(error, where=f"line {number}: ")
            else:
                codes[number] = 0
    except KeyboardInterrupt:
        done = sum(code == 0 for code in codes.values())
        raise KeyboardInterrupt(f"interrupted in line {number}; videos made before it: {done}") from None
    failed = sorted(number for number, code in codes.items() if code)
    summary = f"; failed: line {', '.join(map(str, failed))}" if failed else ""
    complain(f"{len(lines) - len(failed)} of {len(lines)} videos made{summary}")
    return next((code for code in (BAD_INPUT, FAILED) if code in codes.values()), 0)


def _read_lines(file: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers. Only a newline ends one: JSON text may hold other breaks."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the jobs file {file}: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(f"the jobs file {file} holds no jobs")
    return lines


def _check_clash(number: int, jobs: Mapping[int, Job]) -> None:
    """Refuse a line that would write, or overwrite, what an earlier one writes."""
    mine = {path.resolve() for path in jobs[number].outputs}
    for other, job in jobs.items():
        if other != number and mine & {path.resolve() for path in job.outputs}:
            raise InputError(f"it writes the same file as line {other} ({job.output_path}); give it another output")
