"""`pyproject.toml` tells the truth: each import is declared, each dependency imported, each packaged file there."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROGRAM = sorted((ROOT / "orrange_p2p").rglob("*.py"))
BESIDE = sorted(path for room in ("protocol", "simulations", "tests") for path in (ROOT / room).rglob("*.py"))
OWN = {"orrange_p2p", "protocol", "simulations", "tests", *(path.stem for path in BESIDE)}
TOOLS = {"codespell", "import-linter", "mypy", "pytest-timeout", "pytest-trio", "pytest-xdist", "ruff", "setuptools"}
DISTRIBUTIONS = packages_distributions()


def names(requirements: list[str]) -> set[str]:
    """The projects that requirements name, as the index spells them."""
    return {re.split(r"[^A-Za-z0-9_.-]", one, maxsplit=1)[0].lower().replace("_", "-") for one in requirements}


RUNTIME = names(PROJECT["project"]["dependencies"])
DEVELOPMENT = names(PROJECT["project"]["optional-dependencies"]["dev"])


def imports(node: ast.AST, *, with_types_only: bool) -> Iterator[str]:
    """The top-level packages that a file imports, wherever it does."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.split(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module.split(".")[0]
        elif with_types_only or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from imports(child, with_types_only=with_types_only)


def imported(paths: list[Path], *, with_types_only: bool = True) -> dict[str, set[str]]:
    """Foreign packages that files import, each with the projects that bring it."""
    found = {
        name
        for path in paths
        for name in imports(ast.parse(path.read_text("utf-8")), with_types_only=with_types_only)
        if name not in sys.stdlib_module_names and name not in OWN
    }
    return {name: {one.lower().replace("_", "-") for one in DISTRIBUTIONS.get(name, [])} for name in sorted(found)}


def test_what_the_program_imports_when_it_runs_is_declared() -> None:
    undeclared = {
        name: projects for name, projects in imported(PROGRAM, with_types_only=False).items() if not projects & RUNTIME
    }
    assert undeclared == {}


def test_what_tests_and_type_checks_import_is_declared() -> None:
    declared = RUNTIME | DEVELOPMENT
    assert {name for name, projects in imported([*PROGRAM, *BESIDE]).items() if not projects & declared} == set()


def test_no_dependency_is_declared_that_nobody_imports() -> None:
    by_program = set().union(*imported(PROGRAM, with_types_only=False).values())
    by_anybody = set().union(*imported([*PROGRAM, *BESIDE]).values())
    assert RUNTIME - by_program == set()
    assert DEVELOPMENT - by_anybody - TOOLS == set()


@pytest.mark.parametrize(
    "source", ["import web3", "def lazily():\n    from web3.eth import Eth", "import a, web3.x as y"]
)
def test_an_import_is_seen_wherever_it_stands(source: str) -> None:
    assert "web3" in set(imports(ast.parse(source), with_types_only=False))


def test_an_import_for_types_only_is_told_from_others() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    import web3")
    assert list(imports(tree, with_types_only=False)) == []
    assert list(imports(tree, with_types_only=True)) == ["web3"]


@pytest.mark.parametrize("pattern", PROJECT["tool"]["setuptools"]["package-data"]["orrange_p2p"])
def test_each_pattern_of_packaged_files_finds_some(pattern: str) -> None:
    assert list((ROOT / "orrange_p2p").glob(pattern))


def test_the_lock_has_each_declared_project() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = names(re.findall(r"^[A-Za-z0-9][^ ]*", lock, re.MULTILINE))
    assert (RUNTIME | DEVELOPMENT) - locked == set()
    asked = re.findall(
        r"^([A-Za-z0-9_.-]+)==(?:.|\n(?! {4}#))*\n {4}# via(?:\n {4}# {2})? orrange \(pyproject", lock, re.MULTILINE
    )
    assert {name.lower() for name in asked} == RUNTIME | DEVELOPMENT
