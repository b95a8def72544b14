"""The README is true: each command is run here or held by a test named here; each link leads somewhere."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line
]
HELD_BY = {
    "make demo": "tests/test_readme.py::test_make_runs_what_the_readme_says",
    "make test": "tests/test_readme.py::test_make_runs_what_the_readme_says",
    "orrange demo --peers 3 --events 40 --speed 16 --keep run": (
        "tests/cli/test_demo.py::test_a_demo_prints_one_json_line_and_its_stores_say_the_same"
    ),
    "orrange store digest run/peer-0": (
        "tests/cli/test_demo.py::test_a_demo_prints_one_json_line_and_its_stores_say_the_same"
    ),
    "orrange devnet --peers 2 --events 40 --dir net --hold": (
        "tests/functional/test_devnet.py::"
        "test_a_killed_peer_comes_back_with_the_printed_command_and_contradicts_nothing"
    ),
    "orrange demo --escrow --json": (
        "tests/functional/test_escrow_demo.py::test_trades_by_escrow_are_released_time_out_and_are_split"
    ),
    "orrange demo --cross-chain --json": (
        "tests/functional/test_cross_chain_demo.py::test_one_swap_completes_and_one_is_refunded_between_two_chains"
    ),
    "orrange node run --config net/peer-0/node.toml": (
        "tests/cli/test_nodes.py::test_a_node_killed_while_it_trades_has_lost_nothing_it_acknowledged"
    ),
}
ON_A_NODE = [command for command in COMMANDS if "--data-dir net/peer-0" in command]  # tests/cli/test_readme_on_nodes.py
WITH_KEYS = [command for command in COMMANDS if command.startswith("orrange keys ")]


def _orrange(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command)
    assert program == "orrange"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORRANGE_")}
    return subprocess.run(
        [sys.executable, "-m", "orrange_p2p", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=directory,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
    )


def test_every_command_is_run_or_held_by_a_test() -> None:
    assert len(COMMANDS) == len(dict.fromkeys(COMMANDS)) >= 10
    assert {*COMMANDS} == {*HELD_BY, *ON_A_NODE, *WITH_KEYS}
    assert len(ON_A_NODE) >= 5
    assert len(WITH_KEYS) >= 2


@pytest.mark.parametrize("command", sorted(HELD_BY))
def test_the_tests_that_hold_commands_exist(command: str) -> None:
    path, _, name = HELD_BY[command].partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in functions


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("orrange ")])
def test_every_command_has_arguments_that_the_program_knows(command: str) -> None:
    from orrange_p2p.cli.main import app

    known = typer.main.get_command(app)
    arguments = shlex.split(command)[1:]
    context = known.make_context("orrange", arguments)
    while isinstance(context.command, typer.core.TyperGroup):
        _, found, arguments = context.command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        context = found.make_context(found.name or "", arguments, parent=context)
    assert context.params


def test_a_command_with_an_unknown_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        test_every_command_has_arguments_that_the_program_knows("orrange book --nothing")


def test_commands_about_keys_work_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a passphrase for tests\n")
    for command in WITH_KEYS:
        ran = _orrange(command, tmp_path)
        assert (ran.returncode, ran.stderr) == (0, ""), command
    assert (tmp_path / "owner.json").exists()


@pytest.mark.parametrize(
    ("target", "part"), [("demo", "orrange demo"), ("test", "pytest -q"), ("bench", "tests.benchmarks")]
)
def test_make_runs_what_the_readme_says(target: str, part: str) -> None:
    ran = subprocess.run(
        ["make", "--dry-run", target], capture_output=True, text=True, check=False, timeout=30, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    assert part in ran.stdout


def test_every_figure_names_a_benchmark_that_there_is() -> None:
    from tests.benchmarks.__main__ import NAMES

    named = re.findall(r"`python -m tests\.benchmarks (\w+)`", README)
    assert len(named) >= 5
    assert {*named} == {*NAMES}


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) >= 8
    assert [link for link in local if not (ROOT / link.partition("#")[0]).exists()] == []
    rooms = re.findall(r"`orrange_p2p/\{([a-z,]+)\}`", README)
    assert all((ROOT / "orrange_p2p" / room).is_dir() for names in rooms for room in names.split(","))
