"""Plant faults, one by one, and see that tests catch them: `python -m tests.mutants [--only TEXT] [--json]`.

The tree is copied first and every change is made in the copy. A fault is caught if a test that passes without it fails
with it; tests that cannot be run at all, or that run into a limit of time, catch nothing. Exit codes: 0 all caught, 1
not all, 2 tests cannot be run at all without a fault. Tests that fail already without one are left out, and named.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("orrange_p2p", "protocol", "simulations", "tests", "contracts/src", "pyproject.toml")
TIMEOUT_S = 600
_ALL_PASSED, _SOME_FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fault."""

    name: str
    path: str
    outcome: str
    seconds: float
    test: str


def main(arguments: list[str], faults: tuple[Fault, ...] = FAULTS) -> int:
    """Plant the faults that the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose name has this text in it")
    parser.add_argument("--json", action="store_true", help="one line of JSON a fault")
    asked = parser.parse_args(arguments)
    chosen = [fault for fault in faults if asked.only in fault.name]
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        tree = copy_tree(Path(folder))
        spoilt: dict[tuple[str, ...], tuple[str, ...]] = {}
        for tests in dict.fromkeys(fault.tests for fault in chosen):
            code, failed = run_tests(tree, tests, "--maxfail=1000")
            if code not in (_ALL_PASSED, _SOME_FAILED):
                sys.stderr.write(f"expected to run {' '.join(tests)} without a fault, was exit code {code}\n")
                return 2
            spoilt[tests] = tuple(f"--deselect={name}" for name in failed)
            sys.stderr.write("".join(f"fails without a fault, left out: {name}\n" for name in failed))
        verdicts = []
        for fault in chosen:
            verdict = try_fault(tree, fault, spoilt[fault.tests])
            verdicts.append(verdict)
            line = f"{verdict.outcome}: {verdict.name} ({verdict.seconds:.0f} s) {verdict.test}"
            sys.stdout.write((json.dumps(asdict(verdict), sort_keys=True) if asked.json else line) + "\n")
            sys.stdout.flush()
    caught = sum(verdict.outcome == "caught" for verdict in verdicts)
    sys.stderr.write(f"{caught} of {len(verdicts)} faults caught\n")
    return 0 if caught == len(verdicts) > 0 else 1


def copy_tree(folder: Path) -> Path:
    """A copy of what the tests need, without anything made."""
    tree = folder / "tree"
    for name in COPIED:
        source, copy = ROOT / name, tree / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        elif source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    return tree


def try_fault(tree: Path, fault: Fault, left_out: tuple[str, ...] = ()) -> Verdict:
    """Plant a fault, run its tests but those left out, take it out again."""
    path = tree / fault.path
    sound = path.read_text("utf-8")
    started = time.monotonic()
    path.write_text(planted(sound, fault), "utf-8")
    try:
        code, failed = run_tests(tree, fault.tests, "--maxfail=1", *left_out)
    finally:
        path.write_text(sound, "utf-8")
    outcome = {_ALL_PASSED: "missed", _SOME_FAILED: "caught"}.get(code, "not run")
    return Verdict(fault.name, fault.path, outcome, round(time.monotonic() - started, 1), "".join(failed))


def planted(sound: str, fault: Fault) -> str:
    """The text with the fault in it.

    Raises:
        ValueError: the fault's place is not there, or is there more than once.
    """
    found = sound.count(fault.old)
    if found != 1:
        raise ValueError(f"{fault.name}: expected its place once in {fault.path}, was there {found} times")
    return sound.replace(fault.old, fault.new)


def run_tests(tree: Path, tests: tuple[str, ...], *options: str) -> tuple[int, list[str]]:
    """Run tests in a tree with few examples; answers pytest's exit code and the tests that failed."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-rf", "--tb=no", *options, *tests]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "planted", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tree, env=environment, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, []
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return done.returncode, [line.removeprefix("FAILED ").split(" - ")[0] for line in lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
