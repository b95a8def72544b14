"""The slasher contract: evidence as calls that convict, and what its event tells the core.

Spec: protocol/spec/08-peers.md [EVID-1], [EVID-2].
"""

from orrange_p2p.chain.abi import ContractInterface, load_contract, read_event
from orrange_p2p.chain.backend import Backend, Log
from orrange_p2p.chain.contracts import order_fields, ticket_fields
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.facts import Slashed
from orrange_p2p.core.peer_messages import Fork, OverSigned, SignedHeader, SignedTicket
from orrange_p2p.core.types import Address, MarketId


def slasher_contract() -> ContractInterface:
    """Proofs of forks and of over-signing."""
    return load_contract("OrrangeSlasher")


def encode_prove_fork(fork: Fork, reporter: Address) -> bytes:
    """The input of `proveFork`, which anyone may send; `reporter` gets the reward."""
    return slasher_contract().encode_call(
        "proveFork", _signed_entry_fields(fork.first), _signed_entry_fields(fork.second), reporter
    )


def encode_prove_over_signing(proof: OverSigned, reporter: Address) -> bytes:
    """The input of `proveOverSigning`, likewise."""
    first, second = _signed_ticket_fields(proof.first), _signed_ticket_fields(proof.second)
    return slasher_contract().encode_call("proveOverSigning", proof.session, first, second, reporter)


def decode_slashed(log: Log) -> Slashed | None:
    """The conviction that a log of the contract tells; None for anything else.

    Raises:
        ChainUnavailable: the log is malformed; the chain's endpoint cannot be trusted.
    """
    event = read_event(slasher_contract(), log)
    if event is None:
        return None
    fields = event.fields
    return Slashed(owner=Address(fields["owner"]), amount=fields["amountDue"], is_over_signing=fields["isOverSigning"])


async def is_slashed(
    backend: Backend, contract: Address, session: Address, market: MarketId, *, is_over_signing: bool
) -> bool:
    """Whether a session was convicted of that in a market, so that another proof would be refused.

    Raises:
        ConfigError: no OrrangeSlasher stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    interface = slasher_contract()
    return bool(await read_view(backend, interface, contract, "isSlashed", session, market, is_over_signing))


def _signed_entry_fields(signed: SignedHeader) -> tuple[object, ...]:
    header = signed.header
    place = (header.session, header.owner, header.market, header.seq)
    return ((*place, header.prev_hash, header.epoch, header.items_root), signed.signature)


def _signed_ticket_fields(signed: SignedTicket) -> tuple[object, ...]:
    orders = (order_fields(signed.maker), order_fields(signed.taker))
    return (ticket_fields(signed.ticket), signed.signature, *orders)
