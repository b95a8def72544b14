"""Fuzz the decoders: `python -m tests.fuzz --count 10000000 --seed 1 --jobs 2 --state fuzz.jsonl --json`.

With a state file an interrupted campaign goes on where it stopped, whatever the number of jobs. Exit codes: 0 nothing
found, 1 something found, 130 interrupted.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fuzz.campaign import CHUNK, Result, Tally
from tests.fuzz.jobs import Done, run_tasks
from tests.fuzz.worst import measure_worst


def main(arguments: list[str]) -> int:
    """Run the campaign that the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000, help="inputs, rounded up to whole chunks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--state", type=Path, help="a file that finished chunks are written to and read from")
    parser.add_argument("--json", action="store_true", help="one line of JSON a figure")
    asked = parser.parse_args(arguments)
    chunks = -(-asked.count // CHUNK)
    finished = read_state(asked.state, asked.seed, chunks)
    tasks = [(asked.seed, number, CHUNK) for number in range(chunks) if number not in finished]
    is_interrupted = False
    try:
        for done in run_tasks(tasks, asked.jobs):
            finished[done.number] = done
            if asked.state is not None:
                append_state(asked.state, asked.seed, done)
            failures = sum(len(one.result.failures) for one in finished.values())
            sys.stderr.write(f"\r{len(finished) * CHUNK:,} of {chunks * CHUNK:,} inputs, {failures} failures ")
            sys.stderr.flush()
    except KeyboardInterrupt:
        is_interrupted = True
    sys.stderr.write("\n")
    total = Result()
    for number in sorted(finished):
        total.add(finished[number].result)
    for line in figures(total, list(finished.values())):
        sys.stdout.write((json.dumps(line, sort_keys=True) if asked.json else shown(line)) + "\n")
    if is_interrupted:
        return 130
    return 1 if total.failures else 0


def read_state(path: Path | None, seed: int, chunks: int) -> dict[int, Done]:
    """The chunks of this seed that were run before; a line that was cut short is left out."""
    found: dict[int, Done] = {}
    if path is None or not path.exists():
        return found
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row["seed"] == seed and row["number"] < chunks:
            tallies = {name: Tally(**fields) for name, fields in row["tallies"].items()}
            result = Result(tallies=tallies, failures=row["failures"])
            found[row["number"]] = Done(row["number"], result, row["process"], row["rss_bytes"])
    return found


def append_state(path: Path, seed: int, done: Done) -> None:
    """Add a finished chunk, in one line."""
    head = {"seed": seed, "number": done.number, "process": done.process, "rss_bytes": done.rss_bytes}
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(head | asdict(done.result), sort_keys=True) + "\n")


def figures(total: Result, chunks: list[Done]) -> Iterator[dict[str, Any]]:
    """What the campaign came to, a line a target, then memory, then the worst inputs made by hand, then failures."""
    for name, tally in total.tallies.items():
        yield asdict(tally) | {"figure": "target", "target": name, "slowest_us": round(tally.slowest_us, 1)}
    held: dict[int, list[int]] = {}
    for done in sorted(chunks, key=lambda one: one.number):
        held.setdefault(done.process, []).append(done.rss_bytes)
    for rss in held.values():
        yield {
            "figure": "resident memory of a process",
            "chunks": len(rss),
            "first_bytes": rss[0],
            "last_bytes": rss[-1],
            "most_bytes": max(rss),
        }
    for cost in measure_worst():
        yield {"figure": "worst by hand"} | asdict(cost)
    for failure in total.failures:
        yield {"figure": "failure", "failure": failure}
    yield {"figure": "total", "inputs": total.inputs, "failures": len(total.failures)}


def shown(line: dict[str, Any]) -> str:
    """A figure as people read it."""
    rest = ", ".join(f"{key} {value}" for key, value in line.items() if key != "figure")
    return f"{line['figure']}: {rest}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
