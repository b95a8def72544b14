"""Our contracts: how values of the core become calls, and how events become facts for the core.

Spec: protocol/spec/01-types.md (skip reasons), protocol/eip712.json (fields and their order).
"""

from collections.abc import Sequence

from eth_abi.exceptions import DecodingError

from orrange_p2p.chain.abi import ContractInterface, Event, decode_revert, load_contract
from orrange_p2p.chain.backend import Log
from orrange_p2p.core.conduct import cut_rows
from orrange_p2p.core.facts import (
    Fact,
    FundsChanged,
    SessionAuthorised,
    SessionRevoked,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.types import (
    Address,
    Market,
    MarketId,
    Order,
    OrderId,
    Scope,
    SignedTrade,
    Ticket,
    TicketDigest,
)
from orrange_p2p.errors import ChainUnavailable

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
    known = (vault_contract(), settlement_contract(), swap_contract(), factory_contract(), token_contract())
    return decode_revert(payload, known)


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


class FactDecoder:
    """Turns the logs of one deployment into facts.

    `FundsChanged` keeps *usable = allocation less everything asked to leave* exact:

    - `Allocated(amount)`: `+amount`.
    - `DeallocationRequested(amount)`: `-amount`, at once; the vault adds it to what is pending.
    - A trade may spend what is pending. Nothing is said then: the trade moves the allocation, pending stays, and usable
      may fall below zero.
    - `DeallocationExecuted(moved)`: the allocation falls by `moved` and pending by all that was requested, so usable
      grows by `requested - moved`, which is what trades took of it. Zero is left out.

    For the last one it remembers what was requested and not yet executed, so it must see every log from the
    deployment's block on, in order; what the chain takes back it forgets by `unwind`.
    """

    def __init__(self, *, vault: Address, settlement: Address) -> None:
        self.addresses = (vault, settlement)
        self._vault = vault
        self._pending: dict[tuple[Address, MarketId, Address], list[tuple[int, int]]] = {}

    def unwind(self, to_block: int) -> None:
        """Forget the logs after a block."""
        cut_rows(self._pending, to_block)

    def decode(self, logs: Sequence[Log]) -> list[tuple[Log, Fact]]:
        """The facts in `logs`, in order, each with its log; logs that say nothing that the core needs are left out.

        Raises:
            ChainUnavailable: a log is malformed; nothing was taken in then.
        """
        events = [(log, self._event(log)) for log in logs]
        facts = [(log, self._fact(log, event)) for log, event in events if event is not None]
        return [(log, fact) for log, fact in facts if fact is not None]

    def _event(self, log: Log) -> Event | None:
        contract = vault_contract() if log.address == self._vault else settlement_contract()
        try:
            return contract.decode_event(log)
        except (DecodingError, ValueError) as error:
            raise ChainUnavailable(
                f"expected an event of {contract.name} at log {log.index} of block {log.block_number}, was unreadable; "
                "check that the chain's URL is right"
            ) from error

    def _fact(self, log: Log, event: Event) -> Fact | None:
        return self._vault_fact(event, log.block_number) if log.address == self._vault else _settlement_fact(event)

    def _vault_fact(self, event: Event, block_number: int) -> Fact | None:
        fields = event.fields
        match event.name:
            case "SessionAuthorised":
                return SessionAuthorised(
                    owner=Address(fields["owner"]),
                    session=Address(fields["session"]),
                    scope=Scope(fields["scope"]),
                    expiry_s=fields["expiry"],
                )
            case "SessionRevoked":
                return SessionRevoked(owner=Address(fields["owner"]), session=Address(fields["session"]))
            case "Allocated" | "DeallocationRequested" | "DeallocationExecuted":
                return self._funds_fact(event, block_number)
            case _:
                return None

    def _funds_fact(self, event: Event, block_number: int) -> FundsChanged | None:
        owner, token = Address(event.fields["owner"]), Address(event.fields["token"])
        market, amount = MarketId(event.fields["market"]), int(event.fields["amount"])
        rows = self._pending.setdefault((owner, market, token), [])
        pending = rows[-1][1] if rows else 0
        delta = amount
        if event.name == "DeallocationRequested":
            rows.append((block_number, pending + amount))
            delta = -amount
        elif event.name == "DeallocationExecuted":
            rows.append((block_number, 0))
            delta = pending - amount if pending else 0
        return FundsChanged(owner=owner, market=market, token=token, delta=delta) if delta else None


def _settlement_fact(event: Event) -> Fact | None:
    fields = event.fields
    if event.name == "TradeSkipped":
        return TradeSkipped(ticket=TicketDigest(fields["ticket"]), reason=fields["reason"])
    if event.name != "TradeCompleted":
        return None
    return TradeSettled(
        ticket=TicketDigest(fields["ticket"]),
        market=MarketId(fields["market"]),
        maker_order=OrderId(fields["makerOrder"]),
        taker_order=OrderId(fields["takerOrder"]),
        maker_owner=Address(fields["makerOwner"]),
        taker_owner=Address(fields["takerOwner"]),
        is_maker_buyer=fields["makerIsBuyer"],
        price_ticks=fields["priceTicks"],
        maker_from=fields["makerFrom"],
        maker_to=fields["makerTo"],
        taker_from=fields["takerFrom"],
        taker_to=fields["takerTo"],
    )
