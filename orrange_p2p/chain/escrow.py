"""The escrow contract: calls that take a trade's steps, what its events say, and where a trade stands.

`core.escrow` says which steps are open to whom, and when.
"""

from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from orrange_p2p.chain.abi import ContractInterface, Event, load_contract, read_event
from orrange_p2p.chain.backend import Backend, CallReverted, Log
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.escrow import EscrowClocks, EscrowRecord, EscrowState, EscrowTrade
from orrange_p2p.core.facts import DisputeLost, EscrowMoved
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, MarketId, TicketDigest
from orrange_p2p.errors import ConfigError

_TERMS = "(bytes32,bytes32,address,address,address,address,uint256,uint256,uint32,address,uint8,uint64)"
_COMMITMENT_BYTES = 26
_STATES = {
    "PaymentConfirmed": EscrowState.PAID,
    "TradeDisputed": EscrowState.DISPUTED,
    "EscrowReleased": EscrowState.RELEASED,
    "DisputeResolved": EscrowState.RESOLVED,
    "TradeCancelled": EscrowState.CANCELLED,
}


EscrowEvent = EscrowTrade | EscrowMoved | DisputeLost


def escrow_contract() -> ContractInterface:
    """Trades whose quote is paid outside the chain."""
    return load_contract("OrrangeEscrow")


def compute_commitment(trade: EscrowTrade) -> bytes:
    """What the contract keeps of a trade's terms."""
    return keccak256(bytes(abi_encode([_TERMS], [trade.fields()])))[:_COMMITMENT_BYTES]


def encode_mark_paid(trade: EscrowTrade) -> bytes:
    """The input of `markPaid`: by the buyer or a TRADE session of its own."""
    return escrow_contract().encode_call("markPaid", trade.fields())


def encode_release(trade: EscrowTrade) -> bytes:
    """The input of `release`: by the seller itself."""
    return escrow_contract().encode_call("release", trade.fields())


def encode_cancel(trade: EscrowTrade) -> bytes:
    """The input of `cancel`; `core.escrow.cancel_penalty` says what it costs the buyer."""
    return escrow_contract().encode_call("cancel", trade.fields())


def encode_dispute(trade: EscrowTrade) -> bytes:
    """The input of `dispute`: by the seller or a TRADE session of its own, by anyone after silence."""
    return escrow_contract().encode_call("dispute", trade.fields())


def encode_resolve(trade: EscrowTrade, *, seller_base_bps: int, seller_bonds_bps: int) -> bytes:
    """The input of `resolve`, by the arbitrator: the seller's part of the base, and of both bonds together.

    Args:
        trade: the terms.
        seller_base_bps: hundredths of a percent, 0 to 10,000.
        seller_bonds_bps: likewise; 5,000 gives each side its own bond back.
    """
    return escrow_contract().encode_call("resolve", trade.fields(), seller_base_bps, seller_bonds_bps)


def encode_resolve_by_default(trade: EscrowTrade) -> bytes:
    """The input of `resolveByDefault`, which anyone may send once the arbitrator's time is over."""
    return escrow_contract().encode_call("resolveByDefault", trade.fields())


def decode_escrow_event(log: Log) -> EscrowEvent | None:
    """What a log of the contract says: the terms of a trade that it opened, where one moved, or who lost a dispute.

    Raises:
        ChainUnavailable: the log is malformed; the chain's endpoint cannot be trusted.
    """
    event = read_event(escrow_contract(), log)
    if event is None:
        return None
    if event.name == "EscrowOpened":
        return _opened(event)
    if event.name == "DisputeLost":
        return DisputeLost(owner=Address(event.fields["owner"]), amount=event.fields["amount"])
    return EscrowMoved(
        ticket=TicketDigest(event.fields["ticket"]),
        state=_STATES[event.name],
        seller_base=event.fields.get("sellerBase", 0),
        seller_quote=event.fields.get("sellerQuote", 0),
        penalty=event.fields.get("penalty", 0),
        is_by_default=event.fields.get("isByDefault", False),
    )


async def read_trade(
    backend: Backend, contract: Address, ticket: TicketDigest, *, block_number: int | None = None
) -> EscrowRecord:
    """Where a trade stands on the newest block, or on block `block_number`; state NONE if no such ticket was opened.

    Raises:
        ConfigError: no OrrangeEscrow stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    interface = escrow_contract()
    try:
        payload = await backend.call(contract, interface.encode_call("recordOf", ticket), block_number=block_number)
        state, since_s, commitment = interface.decode_result("recordOf", payload)
        return EscrowRecord(state=EscrowState(state), since_s=since_s, commitment=bytes(commitment))
    except (CallReverted, DecodingError, ValueError) as error:
        raise ConfigError(
            f"expected the OrrangeEscrow contract at 0x{contract.hex()}, was none that answers recordOf()"
        ) from error


async def read_clocks(backend: Backend, contract: Address) -> EscrowClocks:
    """How long each duty may take.

    Raises:
        ConfigError: no OrrangeEscrow stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    names = ("graceS", "payS", "confirmS", "arbitrationS")
    grace_s, pay_s, confirm_s, arbitration_s = [
        int(await read_view(backend, escrow_contract(), contract, name)) for name in names
    ]
    return EscrowClocks(grace_s=grace_s, pay_s=pay_s, confirm_s=confirm_s, arbitration_s=arbitration_s)


async def find_terms(
    backend: Backend, contract: Address, ticket: TicketDigest, first: int, last: int
) -> EscrowTrade | None:
    """The terms of a trade, if it was opened in blocks `first` to `last`, both included.

    Raises:
        ChainUnavailable: the chain cannot be reached, or answers with a malformed log.
    """
    for log in await backend.logs(first, last, (contract,)):
        event = decode_escrow_event(log)
        if isinstance(event, EscrowTrade) and event.ticket == ticket:
            return event
    return None


def _opened(event: Event) -> EscrowTrade:
    fields = event.fields
    return EscrowTrade(
        ticket=TicketDigest(fields["ticket"]),
        market=MarketId(fields["market"]),
        seller=Address(fields["seller"]),
        buyer=Address(fields["buyer"]),
        base=Address(fields["base"]),
        quote=Address(fields["quote"]),
        base_amount=fields["baseAmount"],
        bond_amount=fields["bondAmount"],
        payment_method=fields["paymentMethod"],
        arbitrator=Address(fields["arbitrator"]),
        security=fields["security"],
        matched_at_s=fields["matchedAt"],
    )
