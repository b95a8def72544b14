"""How the events of our contracts become facts for the core."""

from collections.abc import Mapping, Sequence
from typing import Any

from orrange_p2p.chain.abi import Event, read_event
from orrange_p2p.chain.backend import Log
from orrange_p2p.chain.contracts import settlement_contract, vault_contract
from orrange_p2p.chain.escrow import decode_escrow_event
from orrange_p2p.chain.slasher import decode_slashed
from orrange_p2p.core.conduct import cut_rows
from orrange_p2p.core.escrow import EscrowTrade
from orrange_p2p.core.facts import (
    BondChanged,
    Defaulted,
    Fact,
    FundsChanged,
    OrderCancelled,
    OrdersCancelled,
    SessionAuthorised,
    SessionCapped,
    SessionRevoked,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.types import Address, MarketId, OrderId, Scope, TicketDigest

_FUNDS_EVENTS = ("Allocated", "DeallocationRequested", "DeallocationExecuted")


class FactDecoder:
    """Turns the logs of one deployment into facts.

    `FundsChanged` keeps *usable = allocation less everything asked to leave* exact:

    - `Allocated(amount)`: `+amount`.
    - `DeallocationRequested(amount)`: `-amount`, at once; the vault adds it to what is pending.
    - A trade may spend what is pending. Nothing is said then: the trade moves the allocation, pending stays, and usable
      may fall below zero.
    - `DeallocationExecuted(moved)`: the allocation falls by `moved` and pending by all that was requested, so usable
      grows by `requested - moved`, which is what trades took of it. Zero is left out.

    For the last one it remembers what was requested and not yet executed, and for `AllSessionsRevoked` whose sessions
    there are: it must see every log from the deployment's block on, in order; what the chain takes back it forgets by
    `unwind`.
    """

    def __init__(
        self, *, vault: Address, settlement: Address, escrow: Address | None = None, slasher: Address | None = None
    ) -> None:
        self.addresses = tuple(place for place in (vault, settlement, escrow, slasher) if place is not None)
        self._vault = vault
        self._escrow = escrow
        self._slasher = slasher
        self._pending: dict[tuple[Address, MarketId, Address], list[tuple[int, int]]] = {}
        self._sessions: dict[Address, list[tuple[int, Address]]] = {}

    def unwind(self, to_block: int) -> None:
        """Forget the logs after a block."""
        cut_rows(self._pending, to_block)
        cut_rows(self._sessions, to_block)

    def decode(self, logs: Sequence[Log]) -> list[tuple[Log, Fact]]:
        """The facts in `logs`, in order, each with its log; logs that say nothing that the core needs are left out.

        Raises:
            ChainUnavailable: a log is malformed; nothing was taken in then.
        """
        events = [(log, self._event(log)) for log in logs]
        return [(log, fact) for log, event in events for fact in self._facts(log, event)]

    def _event(self, log: Log) -> Event | Fact | None:
        """The event in a log of vault or settlement, or at once the fact in one of escrow or slasher."""
        if log.address == self._escrow:
            told = decode_escrow_event(log)
            return None if isinstance(told, EscrowTrade) else told
        if log.address == self._slasher:
            return decode_slashed(log)
        contract = vault_contract() if log.address == self._vault else settlement_contract()
        return read_event(contract, log)

    def _facts(self, log: Log, event: Event | Fact | None) -> list[Fact]:
        if not isinstance(event, Event):
            return [] if event is None else [event]
        if log.address != self._vault:
            return _settlement_facts(event)
        if event.name in _FUNDS_EVENTS:
            return self._funds_facts(event, log.block_number)
        if event.name.startswith(("Session", "AllSessions")):
            return self._session_facts(event, log.block_number)
        if event.name == "BondChanged":
            return [BondChanged(owner=Address(event.fields["owner"]), amount=event.fields["amount"])]
        return []

    def _session_facts(self, event: Event, block_number: int) -> list[Fact]:
        fields = event.fields
        owner = Address(fields["owner"])
        match event.name:
            case "SessionAuthorised":
                session = Address(fields["session"])
                self._sessions.setdefault(owner, []).append((block_number, session))
                scope, expiry_s = Scope(fields["scope"]), fields["expiry"]
                return [SessionAuthorised(owner=owner, session=session, scope=scope, expiry_s=expiry_s)]
            case "SessionCapped":
                session, token = Address(fields["session"]), Address(fields["token"])
                return [SessionCapped(owner=owner, session=session, token=token, amount=fields["amount"])]
            case "SessionRevoked":
                return [SessionRevoked(owner=owner, session=Address(fields["session"]))]
            case "AllSessionsRevoked":
                return [SessionRevoked(owner=owner, session=one) for _, one in self._sessions.get(owner, ())]
            case _:
                return []

    def _funds_facts(self, event: Event, block_number: int) -> list[Fact]:
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
        return [FundsChanged(owner=owner, market=market, token=token, delta=delta)] if delta else []


def _settlement_facts(event: Event) -> list[Fact]:
    fields = event.fields
    match event.name:
        case "TradeSkipped":
            return [TradeSkipped(ticket=TicketDigest(fields["ticket"]), reason=fields["reason"])]
        case "TradeCompleted" | "TradeCreated":
            return [_trade_fact(fields)]
        case "Defaulted":
            ticket, owner, victim = fields["ticket"], Address(fields["owner"]), Address(fields["victim"])
            amount = fields["amount"]
            return [Defaulted(owner=owner, ticket=TicketDigest(ticket), victim=victim, amount=amount)]
        case "OrderCancelled":
            return [OrderCancelled(owner=Address(fields["owner"]), order=OrderId(fields["order"]))]
        case "OrdersCancelled":
            owner, session = Address(fields["owner"]), Address(fields["session"])
            return [OrdersCancelled(owner=owner, session=session, nonce=fields["nonce"])]
        case _:
            return []


def _trade_fact(fields: Mapping[str, Any]) -> TradeSettled:
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
        sink_fee=fields.get("sinkMicros", 0),
        fee=fields.get("fee", 0),
        security=fields.get("security", 0),
    )
