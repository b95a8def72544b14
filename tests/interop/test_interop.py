"""The JavaScript beside this file shares no code with orrange and agrees with every vector; it notices a wrong one."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from protocol.reference.types import Clock
from tests.core.bare import throw_bare
from tests.core.worlds import BONDED, CLOCK, build_world, throw_steps
from tests.vectors import world_cases

HERE = Path(__file__).resolve().parent
PROTOCOL = HERE.parents[1] / "protocol"
VECTORS = sorted(path.relative_to(PROTOCOL / "vectors").as_posix() for path in (PROTOCOL / "vectors").rglob("*.json"))
ANSWERS = ("beacon", "book", "digest", "order_id", "signer", "struct_hash", "window_digest")
Plant = Callable[[list[dict[str, Any]]], None]


def check(protocol: Path, *arguments: str) -> dict[str, Any]:
    """What the program says of a protocol directory; it exits with 1 exactly if it found a difference."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").is_dir():
        if os.environ.get("CI"):
            raise FileNotFoundError("node or tests/interop/node_modules is missing: run make setup")
        pytest.skip("node or tests/interop/node_modules is missing: run make setup")
    command = [node, str(HERE / "check.js"), "--json", *arguments, str(protocol)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.stderr == ""
    said: dict[str, Any] = json.loads(ran.stdout)
    assert ran.returncode == (0 if said["difference"] is None else 1)
    return said


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the protocol's directory to spoil."""
    return shutil.copytree(PROTOCOL, tmp_path / "protocol", ignore=shutil.ignore_patterns("*.py", "*.pyc"))


def flipped(hexadecimal: str, at: int, mask: int = 1) -> str:
    """Hex with some bits of one byte turned over."""
    raw = bytearray.fromhex(hexadecimal[2:])
    raw[at] ^= mask
    return f"0x{raw.hex()}"


def flip(value: dict[str, Any], name: str, at: int, mask: int = 1) -> None:
    """Turn over some bits of one byte of a field."""
    value[name] = flipped(value[name], at, mask)


def named(cases: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The case of a name."""
    return next(one for one in cases if one["name"] == name)


def plant(protocol: Path, name: str, change: Plant) -> None:
    """Change the cases of a vector file of a copy."""
    path = protocol / "vectors" / name
    file = json.loads(path.read_text("utf-8"))
    change(file["cases"])
    path.write_text(json.dumps(file), encoding="utf-8")


def hex_answers(value: object) -> list[tuple[dict[str, Any], str]]:
    """Every answer in hex in the cases of a file: what holds it and its name."""
    if isinstance(value, list):
        return [found for one in value for found in hex_answers(one)]
    if not isinstance(value, dict):
        return []
    own = [(value, name) for name in ANSWERS if isinstance(value.get(name), str)]
    return own + [found for name in value for found in hex_answers(value[name]) if name not in ("orders", "entries")]


def test_every_vector_is_what_the_spec_alone_gives() -> None:
    said = check(PROTOCOL)
    counts = {name: len(json.loads((PROTOCOL / "vectors" / name).read_text("utf-8"))["cases"]) for name in VECTORS}
    assert said == {"checked": counts, "difference": None}


@pytest.mark.parametrize("name", ["codec/odd.json", "oddities/first.json", "matching/deep/books.json"])
def test_a_vector_file_that_the_program_does_not_know_fails(copied: Path, name: str) -> None:
    path = copied / "vectors" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"cases": []}', encoding="utf-8")
    assert "does not know" in check(copied, "--only", name)["difference"]


@pytest.mark.parametrize("text", ['{"cases": []}', '{"cases": [{}]}', '{"cases": [], "more": 1}'])
def test_a_vector_file_of_another_form_fails(copied: Path, text: str) -> None:
    (copied / "vectors" / "codec" / "cbor.json").write_text(text, encoding="utf-8")
    assert "expected" in check(copied, "--only", "codec/cbor.json")["difference"]


def test_a_folder_of_vectors_that_is_gone_fails(copied: Path) -> None:
    shutil.rmtree(copied / "vectors" / "feeds")
    assert "no such folder" in check(copied)["difference"]


@pytest.mark.parametrize("name", [name for name in VECTORS if name.split("/")[0] in ("book", "eip712", "matching")])
def test_a_byte_flipped_in_an_answer_is_found(copied: Path, name: str) -> None:
    def change(cases: list[dict[str, Any]]) -> None:
        random = Random(name)
        holder, key = random.choice(hex_answers(cases))
        flip(holder, key, random.randrange(len(holder[key]) // 2 - 1))

    plant(copied, name, change)
    assert check(copied, "--only", name)["difference"].startswith(f"{name}: case ")


@pytest.mark.parametrize("seed", range(3))
def test_a_byte_flipped_in_a_sound_entry_is_found(copied: Path, seed: int) -> None:
    def change(cases: list[dict[str, Any]]) -> None:
        random = Random(seed)
        entry = random.choice([one for case in cases for one in case["entries"] if one["refused"] is None])
        flip(entry, "encoded", random.randrange(len(entry["encoded"]) // 2 - 1), 1 << random.randrange(8))

    plant(copied, "feeds/feeds.json", change)
    assert "is sound: expected true, was false" in check(copied, "--only", "feeds/feeds.json")["difference"]


INPUTS: dict[str, tuple[str, Plant]] = {
    "cbor: zero is negative": ("codec/cbor.json", lambda cases: flip(named(cases, "zero"), "encoded", 0, 0x20)),
    "message: field missing": ("codec/messages.json", lambda cases: flip(named(cases, "item_order"), "encoded", 0, 1)),
    "message: refused one read": ("codec/messages.json", lambda cases: named(cases, "view").update(refused="CBOR-4")),
    "signature: other digest": ("codec/signatures.json", lambda cases: flip(named(cases, "good"), "digest", 31)),
    "signature: other signer": ("codec/signatures.json", lambda cases: flip(named(cases, "good"), "signer", 0)),
    "order: other domain": ("eip712/order.json", lambda cases: flip(cases[0]["domain"], "verifyingContract", 19)),
    "feeds: other head": (
        "feeds/feeds.json",
        lambda cases: named(cases, "fork_at_the_end")["feeds"][0].update(next_seq="99"),
    ),
    "book: unsound entry": ("book/orders.json", lambda cases: cases.append(spoilt(named(cases, "two_orders")))),
    "matching: other lots of a maker": ("matching/books.json", lambda cases: first_maker(cases)["free"].clear()),
    "sync: other head": ("sync/roots.json", lambda cases: flip(named(cases, "twenty")["heads"][3], "head_hash", 9)),
    "sync: other fingerprint": ("sync/roots.json", lambda cases: flip(cases[1]["ranges"][0], "fingerprint", 7)),
    "sync: refused one taken": (
        "sync/answers.json",
        lambda cases: named(cases, "a_head_that_was_listed").update(refused=None),
    ),
    "sync: one learned less": ("sync/answers.json", lambda cases: named(cases, "some_ids_lacking")["ours"].pop()),
    "matching: other block": ("matching/books.json", lambda cases: flip(cases[0]["block"], "hash", 0)),
}


def first_maker(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of a book whose lots make the first piece."""
    case = next(case for case in cases if case["pieces"])
    return next(row for row in case["orders"] if row["order_id"] == case["pieces"][0]["maker_order"])


def spoilt(case: dict[str, Any]) -> dict[str, Any]:
    """A case of a book with a byte turned over in its first entry, so that it is no longer sound."""
    return {**case, "name": "spoilt", "entries": [flipped(case["entries"][0], -1), *case["entries"][1:]]}


@pytest.mark.parametrize("what", INPUTS)
def test_a_fault_planted_in_an_input_is_found(copied: Path, what: str) -> None:
    name, change = INPUTS[what]
    plant(copied, name, change)
    assert check(copied, "--only", name)["difference"] is not None


@pytest.mark.parametrize(("old", "new"), [("side = 0 / 1 ", f"side = {new} ") for new in ("0 / 1 / 2", "uint .lt 2")])
def test_a_fault_planted_in_the_schema_is_found(copied: Path, old: str, new: str) -> None:
    path = copied / "orrange.cddl"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert check(copied, "--only", "codec/messages.json")["difference"] is not None


def test_fresh_books_match_as_the_reference_says(copied: Path) -> None:
    cases = [world_cases.matching_case(f"seed_{seed}", throw_bare(seed, 2 + seed % 40)) for seed in range(5000, 5060)]
    assert sum(len(case["pieces"]) for case in cases) > 100
    plant(copied, "matching/books.json", lambda old: replace_all(old, cases))
    assert check(copied, "--only", "matching/books.json") == {
        "checked": {"matching/books.json": len(cases)},
        "difference": None,
    }


@pytest.mark.parametrize(("group", "clock"), [("thrown", CLOCK), ("bonds", BONDED)])
def test_fresh_worlds_have_the_books_that_the_reference_says(copied: Path, group: str, clock: Clock) -> None:
    worlds = {seed: build_world(seed % 4, throw_steps(seed, 45), clock) for seed in range(5024, 5037)}
    cases = [world_cases.book_case(f"thrown_{seed}", "BOOK-3", world) for seed, world in worlds.items()]
    plant(copied, f"book/{group}.json", lambda old: replace_all(old, cases))
    assert check(copied, "--only", f"book/{group}.json") == {
        "checked": {f"book/{group}.json": len(cases)},
        "difference": None,
    }


def replace_all(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    """Put other cases where the file's stood."""
    old[:] = new
