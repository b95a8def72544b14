"""Our contracts: how values of the core become calls, and what their answers are called.

Spec: protocol/spec/01-types.md (skip reasons), protocol/eip712.json (fields and their order).
"""

from collections.abc import Sequence

from orrange_p2p.chain.abi import ContractInterface, decode_revert, load_contract, load_contracts
from orrange_p2p.core.types import Market, Order, SignedTrade, Ticket

SKIP_REASONS = {
    1: "signature",
    2: "market",
    3: "validity",
    4: "deadline",
    5: "replay",
    6: "limits",
    7: "overfill",
    8: "funds",
    9: "grouped",
    10: "kind",
    11: "cap",
    12: "cancelled",
}


def vault_contract() -> ContractInterface:
    """Custody, allocations and sessions."""
    return load_contract("OrrangeVault")


def settlement_contract() -> ContractInterface:
    """Settlement of signed tickets."""
    return load_contract("OrrangeSettlement")


def swap_contract() -> ContractInterface:
    """Hash-time-locked swaps."""
    return load_contract("OrrangeSwap")


def factory_contract() -> ContractInterface:
    """Deployment of all the others."""
    return load_contract("OrrangeFactory")


def token_contract() -> ContractInterface:
    """An ERC-20 token; `mint` exists on test tokens only."""
    return load_contract("TestToken")


def explain_revert(payload: bytes) -> str:
    """What one of our contracts reverted with, as `Name(field=value, ...)`."""
    return decode_revert(payload, load_contracts())


def skip_reason_name(reason: int) -> str:
    """The name of a skip reason; an unknown one keeps its number."""
    return SKIP_REASONS.get(reason, f"reason {reason}")


def market_fields(market: Market) -> tuple[object, ...]:
    """A market as the contracts take it."""
    return (market.base, market.quote, market.lot_size, market.tick_size, market.min_fill_lots)


def order_fields(order: Order) -> tuple[object, ...]:
    """An order as the contracts take it."""
    return (
        order.market,
        order.owner,
        order.session,
        order.nonce,
        int(order.side),
        int(order.kind),
        order.price_ticks,
        order.quantity_lots,
        int(order.tif),
        order.expiry_s,
        order.post_only,
        order.min_tier,
        order.payment_methods,
        order.arbitrators,
        order.security,
    )


def ticket_fields(ticket: Ticket) -> tuple[object, ...]:
    """A ticket as the contracts take it."""
    return (
        ticket.maker_order,
        ticket.taker_order,
        ticket.price_ticks,
        ticket.maker_from,
        ticket.maker_to,
        ticket.taker_from,
        ticket.taker_to,
        ticket.epoch,
        ticket.deadline_s,
        ticket.ticket_nonce,
        int(ticket.kind),
        ticket.payment_method,
        ticket.arbitrator,
        ticket.security,
        ticket.group,
    )


def encode_settle(trades: Sequence[SignedTrade]) -> bytes:
    """The input of `OrrangeSettlement.settle` for these trades, in this order."""
    return settlement_contract().encode_call("settle", _trade_rows(trades))


def encode_settle_group(legs: Sequence[SignedTrade]) -> bytes:
    """The input of `OrrangeSettlement.settleGroup` for all legs of a FOK order, which settle all or not at all."""
    return settlement_contract().encode_call("settleGroup", _trade_rows(legs))


def _trade_rows(trades: Sequence[SignedTrade]) -> list[tuple[object, ...]]:
    return [
        (
            market_fields(trade.market),
            order_fields(trade.maker.order),
            order_fields(trade.taker.order),
            ticket_fields(trade.ticket),
            trade.maker.signature,
            trade.taker.signature,
            trade.maker_signature,
            trade.taker_signature,
        )
        for trade in trades
    ]
