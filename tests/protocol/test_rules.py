"""Every numbered rule of the spec is spelled out in code, shown by a vector and held by a test, by its name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULE = re.compile(r"^- \[([A-Z]+-\d+)\]", re.MULTILINE)
MENTION = re.compile(r"\b([A-Z]{2,})-(\d+)(?:(?:\]?\.\.\[?|\.\.)(?:\1-)?(\d+))?\b")
CODE = ("protocol/reference", "orrange_p2p", "contracts/src")
TESTS = ("tests", "contracts/test")
SOURCES = (*CODE, *TESTS)


def spec_rules() -> dict[str, str]:
    """Every rule id that the spec defines, with its chapter."""
    chapters = sorted((ROOT / "protocol" / "spec").glob("*.md"))
    return {rule: chapter.name for chapter in chapters for rule in RULE.findall(chapter.read_text("utf-8"))}


def mentions(text: str) -> set[str]:
    """The rule ids that a text names, ranges such as [MATCH-3..6] included."""
    named: set[str] = set()
    for family, first, last in MENTION.findall(text):
        named.update(f"{family}-{number}" for number in range(int(first), int(last or first) + 1))
    return named


def named_in(folder: str) -> set[str]:
    """The rule ids named in the sources under a folder."""
    here = Path(__file__).resolve()
    paths = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".sol") and path != here]
    return set().union(*(mentions(path.read_text("utf-8")) for path in paths if "node_modules" not in path.parts))


def rules_named(value: object) -> Iterator[str]:
    """The ids in every `rules` list of a vector file."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from one if key == "rules" else rules_named(one)
    elif isinstance(value, list):
        for one in value:
            yield from rules_named(one)


def rules_in_vectors() -> dict[str, set[str]]:
    """The rules that each vector file shows."""
    files = sorted((ROOT / "protocol" / "vectors").glob("*/*.json"))
    return {f"{path.parent.name}/{path.name}": set(rules_named(json.loads(path.read_text("utf-8")))) for path in files}


SHOWN = rules_in_vectors()
NAMED = {folder: named_in(folder) for folder in SOURCES}


def test_mentions_reads_single_ids_and_ranges() -> None:
    assert mentions("Spec: [MATCH-3..5], [TYPE-1].") == {"MATCH-3", "MATCH-4", "MATCH-5", "TYPE-1"}
    assert mentions("[ORD-1..ORD-2] and [SYNC-4, SYNC-5]") == {"ORD-1", "ORD-2", "SYNC-4", "SYNC-5"}
    assert mentions("SHA-256") == {"SHA-256"}


def test_no_rule_id_is_defined_twice() -> None:
    chapters = (ROOT / "protocol" / "spec").glob("*.md")
    rules = [rule for chapter in chapters for rule in RULE.findall(chapter.read_text("utf-8"))]
    assert len(rules) == len(set(rules)) > 50


@pytest.mark.parametrize("rule", sorted(spec_rules()))
def test_rule_is_named_in_the_reference_or_the_program_and_in_a_test(rule: str) -> None:
    where = spec_rules()[rule]
    assert any(rule in NAMED[folder] for folder in CODE), f"{rule} of {where} is named in no code"
    assert any(rule in NAMED[folder] for folder in TESTS), f"{rule} of {where} is named in no test"


def test_sources_name_no_rule_that_the_spec_does_not_have() -> None:
    families = {rule.split("-")[0] for rule in spec_rules()}
    named = {rule for folder in SOURCES for rule in NAMED[folder] if rule.split("-")[0] in families}
    assert named - set(spec_rules()) == set()


@pytest.mark.parametrize("rule", sorted(spec_rules()))
def test_rule_is_shown_by_a_vector(rule: str) -> None:
    assert any(rule in shown for shown in SHOWN.values()), f"{rule} of {spec_rules()[rule]} has no vector"


def test_vectors_name_rules_and_only_those_that_the_spec_has() -> None:
    assert all(shown <= set(spec_rules()) for shown in SHOWN.values())
    thrown = {"matching/books.json", "book/thrown.json"}
    assert {name for name, shown in SHOWN.items() if not shown} <= thrown
