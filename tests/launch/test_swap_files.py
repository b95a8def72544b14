"""Drafts, terms and records of swaps: what is refused, what both sides hold, and that the secret stays where it is."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from swap_drafts import DRAFT

from orrange_p2p.core.swap_terms import COIN, Preimage, compute_hashlock, find_fault
from orrange_p2p.core.swaps import SwapOutcome, SwapRole
from orrange_p2p.core.types import Digest
from orrange_p2p.errors import ConfigError, StoreError
from orrange_p2p.launch.swap import join_swap, new_swap
from orrange_p2p.launch.swap_home import RECORD_NAME, SwapHome
from orrange_p2p.launch.swap_terms import SwapTermsFile, read_draft, read_terms

NOW_S = 1_700_000_000
LEAST_S = 300 + 2 * 60 + 2 * 120


@pytest.fixture
def draft_path(tmp_path: Path) -> Path:
    """The draft on disk."""
    path = tmp_path / "draft.toml"
    path.write_text(DRAFT)
    return path


@pytest.fixture
def initiator(draft_path: Path, tmp_path: Path) -> SwapHome:
    """The initiator's side of a swap that begins."""
    return new_swap(read_draft(draft_path), tmp_path / "initiator", now_s=NOW_S)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("lasts_s = 3600", "", "lasts_s: Field required, was nothing"),
        ("lasts_s = 3600", "lasts = 3600", "lasts_s: Field required"),
        ("margin_s = 120", "margin_s = 59", "margin_s: Input should be greater than or equal to 60, was 59"),
        ('"coin"', '"gold"', "second.token: expected 0x and 40 hex digits, was 'gold'"),
        ('amount = "100000000000000000000"', 'amount = "1.5"', "first.amount: "),
        ('amount = "100000000000000000000"', "amount = 0", "first.amount: Input should be greater than or equal to 1"),
        ("confirmations = 3", "confirmations = 0", "second.confirmations: "),
        ("chain_id = 10", "chain_id = 10\nnonsense = 1", "second.nonsense: Extra inputs are not permitted"),
        ("[first]", "[first", "expected a draft of a swap in TOML at "),
    ],
)
def test_a_wrong_draft_is_told_by_setting(draft_path: Path, old: str, new: str, part: str) -> None:
    draft_path.write_text(DRAFT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_draft(draft_path)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("lasts_s = 3600", f"lasts_s = {LEAST_S - 1}", f"expected a lasts_s of at least {LEAST_S}"),
        ("chain_id = 10", "chain_id = 1", "not safe: expected two chains"),
        ("0x0202020202020202020202020202020202020202", "0x" + "01" * 20, "not safe: expected two accounts"),
    ],
)
def test_an_unsafe_draft_makes_nothing(tmp_path: Path, draft_path: Path, old: str, new: str, part: str) -> None:
    draft_path.write_text(DRAFT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=part):
        new_swap(read_draft(draft_path), tmp_path / "swap", now_s=NOW_S)
    assert not (tmp_path / "swap").exists()


def test_a_draft_that_lasts_just_long_enough_is_safe(tmp_path: Path, draft_path: Path) -> None:
    draft_path.write_text(DRAFT.replace("lasts_s = 3600", f"lasts_s = {LEAST_S}"))
    record = new_swap(read_draft(draft_path), tmp_path / "swap", now_s=NOW_S).load()
    assert find_fault(record.pact) is None
    assert record.pact.second.deadline_s == NOW_S + LEAST_S == record.pact.second_deadline_max_s


def test_both_sides_hold_the_same_terms(initiator: SwapHome, tmp_path: Path) -> None:
    terms = read_terms(initiator.terms_path)
    participant = join_swap(terms, tmp_path / "participant", expected=terms.digest(), now_s=NOW_S).load()
    record = initiator.load()
    assert participant.pact == record.pact
    assert (participant.role, record.role) == (SwapRole.PARTICIPANT, SwapRole.INITIATOR)
    assert (record.pact.first.amount, record.pact.second.token) == (10**20, COIN)
    assert record.preimage is not None
    assert compute_hashlock(record.preimage) == record.pact.hashlock
    assert participant.preimage is None


def test_the_terms_digest_knows_every_value_and_no_space(initiator: SwapHome, tmp_path: Path) -> None:
    terms = read_terms(initiator.terms_path)
    plain = json.loads(initiator.terms_path.read_text())
    loose = tmp_path / "loose.json"
    loose.write_text(json.dumps(dict(reversed(plain.items())), indent=7))
    assert read_terms(loose).digest() == terms.digest()
    others = [replace(terms.pact(), nonce=1), replace(terms.pact(), margin_s=121)]
    others += [replace(terms.pact(), second=replace(terms.pact().second, amount=6))]
    assert len({SwapTermsFile.of(pact).digest() for pact in (terms.pact(), *others)}) == 4


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"hashlock": "0x00"}, "hashlock: "),
        ({"margin_s": 1}, "not safe: expected a margin_s of at least 60, was 1"),
        ({"first": None}, "first: "),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_changed_terms_are_refused(initiator: SwapHome, tmp_path: Path, changes: dict[str, object], part: str) -> None:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(json.loads(initiator.terms_path.read_text()) | changes))
    with pytest.raises(ConfigError, match=part):
        join_swap(read_terms(path), tmp_path / "participant", expected=None, now_s=NOW_S)
    assert not (tmp_path / "participant").exists()


def test_a_short_first_deadline_is_refused(initiator: SwapHome, tmp_path: Path) -> None:
    path, plain = tmp_path / "changed.json", json.loads(initiator.terms_path.read_text())
    plain["first"]["deadline_s"] -= 1
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigError, match="expected a deadline of the second lock at"):
        join_swap(read_terms(path), tmp_path / "participant", expected=None, now_s=NOW_S)


def test_other_terms_than_those_told_and_old_ones_are_refused(initiator: SwapHome, tmp_path: Path) -> None:
    terms = read_terms(initiator.terms_path)
    with pytest.raises(ConfigError, match=f"expected terms 0x{'00' * 32}, was 0x{terms.digest().hex()}"):
        join_swap(terms, tmp_path / "participant", expected=Digest(bytes(32)), now_s=NOW_S)
    with pytest.raises(ConfigError, match="these terms are 1 s too old to lock safely"):
        join_swap(terms, tmp_path / "participant", expected=None, now_s=NOW_S + 3600 - 2 * 60 - 120 + 1)


def test_nobody_else_can_read_the_directory_and_it_is_never_taken_twice(initiator: SwapHome, draft_path: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in initiator.directory.iterdir()}
    assert modes == {"record.json": 0o600, "terms.json": 0o600}
    assert stat.S_IMODE(initiator.directory.stat().st_mode) == 0o700
    preimage = initiator.load().preimage
    assert preimage is not None
    assert preimage.hex() not in initiator.terms_path.read_text()
    with pytest.raises(ConfigError, match="was something; choose another --dir"):
        new_swap(read_draft(draft_path), initiator.directory, now_s=NOW_S)
    assert initiator.load().preimage == preimage


def test_a_record_comes_back_as_it_was_saved(initiator: SwapHome) -> None:
    record = initiator.load()
    changed = replace(record, open_block=7, is_claim_begun=True, is_revealed=True, outcome=SwapOutcome.COMPLETED)
    for saved in (changed, replace(record, preimage=None), replace(record, preimage=Preimage(bytes(32)))):
        initiator.save(saved)
        assert initiator.load() == saved
    assert [path.name for path in initiator.directory.iterdir() if path.name.startswith(".")] == []


def test_a_missing_or_damaged_record_is_told_without_the_secret(initiator: SwapHome, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a swap in .*, was none"):
        SwapHome(tmp_path / "nowhere").load()
    with pytest.raises(ConfigError, match="expected the directory of a swap"), SwapHome(tmp_path / "nowhere").locked():
        pass
    path = initiator.directory / RECORD_NAME
    secret = json.loads(path.read_text())["preimage"]
    for damaged in (path.read_text()[:-10], path.read_text().replace("initiator", "imitator", 1), ""):
        path.write_text(damaged)
        with pytest.raises(StoreError, match="expected the record of a swap at .*, was damaged") as caught:
            initiator.load()
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_swap_runs_once_at_a_time(initiator: SwapHome) -> None:
    with initiator.locked(), pytest.raises(StoreError, match=f"in use by process {os.getpid()}"), initiator.locked():
        pass
    with initiator.locked():
        pass
