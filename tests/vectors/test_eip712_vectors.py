"""The committed EIP-712 vectors are what eth_account computes today. Spec: 01-types [SIGN-1], [SIGN-2]."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = json.loads((ROOT / "protocol" / "eip712.json").read_text("utf-8"))
FILES = {
    json.loads(path.read_text("utf-8"))["primary_type"]: path for path in ROOT.glob("protocol/vectors/eip712/*.json")
}


def _cases(primary_type: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(FILES[primary_type].read_text("utf-8"))["cases"]
    return cases


def test_every_struct_of_the_protocol_has_a_vector_file() -> None:
    assert set(FILES) == set(PROTOCOL["types"])


def test_committed_vectors_are_what_eth_account_computes() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_eip712.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("primary_type", sorted(PROTOCOL["types"]))
def test_digests_differ_between_cases(primary_type: str) -> None:
    cases = _cases(primary_type)
    assert len({case["digest"] for case in cases}) == len(cases) >= 2


@pytest.mark.parametrize("primary_type", sorted(PROTOCOL["types"]))
def test_messages_carry_the_fields_of_the_struct_in_its_order(primary_type: str) -> None:
    names = [field["name"] for field in PROTOCOL["types"][primary_type]]
    assert all(list(case["message"]) == names for case in _cases(primary_type))


def test_digest_is_what_an_account_signs() -> None:
    case = _cases("Ready")[0]
    message = encode_typed_data(
        domain_data=case["domain"] | {"chainId": int(case["domain"]["chainId"])},
        message_types={"Ready": PROTOCOL["types"]["Ready"]},
        message_data={"ticket": case["message"]["ticket"], "epoch": int(case["message"]["epoch"])},
    )
    signed = Account.from_key(bytes(31) + b"\x01").sign_message(message)
    assert "0x" + signed.message_hash.hex() == case["digest"]
