"""EIP-712 digests, signatures and recovery of orders, beside eth-account doing the same from the same type strings."""

import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.types import Address, Digest, Domain, Order, Signature
from orrange_p2p.keys.session import SessionKey
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.pace import per_second
from tests.benchmarks.street import Street

TYPES = json.loads((Path(__file__).parents[2] / "protocol" / "eip712.json").read_text("utf-8"))
DOMAIN = Domain(chain_id=31337, settlement=Address(b"\x5e" * 20))
DIGESTS = Digests(DOMAIN)
KEY = SessionKey.from_bytes(b"\x07" * 32)
ETH_DOMAIN = TYPES["domain"] | {"chainId": DOMAIN.chain_id, "verifyingContract": "0x" + DOMAIN.settlement.hex()}


def run(orders: int = 2000) -> Iterator[Figure]:
    """Measure and report; takes about ten seconds."""
    street = Street(0)
    ours = [street.order() for _ in range(orders)]
    theirs = ours[: max(1, orders // 10)]
    signed = [(order, KEY.sign(Digest(DIGESTS.order(order)))) for order in ours]
    _check_agreement(signed[: len(theirs)])
    yield compared(
        "signatures", "digest", per_second(DIGESTS.order, ours), "orders/s", baseline=per_second(_eth_message, theirs)
    )
    yield compared("signatures", "sign", per_second(_sign, ours), "orders/s", baseline=per_second(_eth_sign, theirs))
    yield compared(
        "signatures",
        "recover",
        per_second(_recover, signed),
        "orders/s",
        baseline=per_second(_eth_recover, signed[: len(theirs)]),
    )


def _sign(order: Order) -> Signature:
    return KEY.sign(Digest(DIGESTS.order(order)))


def _recover(signed: tuple[Order, Signature]) -> Address | None:
    order, signature = signed
    return recover_address(Digest(DIGESTS.order(order)), signature)


def _eth_message(order: Order) -> SignableMessage:
    values = (list(value) if isinstance(value, tuple) else value for value in astuple(order))
    fields: list[dict[str, str]] = TYPES["types"]["Order"]
    message: dict[str, Any] = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    return encode_typed_data(ETH_DOMAIN, {"Order": fields}, message)


def _eth_sign(order: Order) -> bytes:
    return bytes(Account.sign_message(_eth_message(order), KEY.secret_bytes()).signature)


def _eth_recover(signed: tuple[Order, Signature]) -> str:
    order, signature = signed
    return str(Account.recover_message(_eth_message(order), signature=signature))


def _check_agreement(signed: list[tuple[Order, Signature]]) -> None:
    """Both sides must do the same work, or their times say nothing."""
    for order, signature in signed:
        if _recover((order, signature)) != KEY.address or _eth_sign(order) != signature:
            raise RuntimeError("expected eth-account to sign alike")
        if bytes.fromhex(_eth_recover((order, signature))[2:]) != KEY.address:
            raise RuntimeError("expected eth-account to recover the same account")
