"""What a running node answers about its own trades: complete tickets, and how those of kind 1 are to be paid."""

from collections.abc import Mapping
from typing import Any

from orrange_p2p.api.control import Method, Params
from orrange_p2p.config import MarketConfig, NetworkConfig
from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.instructions import InstructionRecord
from orrange_p2p.core.types import Side, SignedTrade, TicketDigest, TicketKind
from orrange_p2p.errors import OrderError
from orrange_p2p.launch.instruction_post import InstructionPost
from orrange_p2p.launch.params import read_integer, read_text, units_of
from orrange_p2p.node import Node
from orrange_p2p.store.actions import load_trade
from orrange_p2p.store.interface import TradeRecord

MAX_ROWS = 10_000
MIN_PREFIX = 6


def trade_methods(node: Node, network: NetworkConfig, post: InstructionPost) -> dict[str, Method]:
    """The methods about own trades, by name. Each takes and gives JSON values."""
    trades = _OwnTrades(node, network, post)
    return {
        "trade.list": trades.all,
        "trade.show": trades.show,
        "trade.instruct": trades.instruct,
        "trade.instructions": trades.instructions,
    }


class _OwnTrades:
    """Answers one owner's questions about its trades."""

    def __init__(self, node: Node, network: NetworkConfig, post: InstructionPost) -> None:
        self._node = node
        self._network = network
        self._post = post
        self._configs = {
            rules.market_id: config for config, rules in zip(network.markets, network.rules(), strict=True)
        }

    async def all(self, params: Params) -> Mapping[str, Any]:
        """Own complete tickets of a market, newest last."""
        config, rules = self._network.find_market(params.get("market"))
        limit = min(read_integer(params, "limit", default=100), MAX_ROWS)
        records = [one for one in await self._records() if one.market == rules.market_id]
        rows = [self._row(one, config) for one in records[max(0, len(records) - limit) :]]
        return {"market": config.name, "trades": rows, "units": units_of(config)}

    async def show(self, params: Params) -> Mapping[str, Any]:
        """One own complete ticket."""
        record, config = await self._find(params)
        return {"market": config.name, "trade": self._row(record, config), "units": units_of(config)}

    async def instruct(self, params: Params) -> Mapping[str, Any]:
        """Write how a ticket is to be paid, as its seller."""
        record, config = await self._find(params)
        written = await self._post.instruct(record.ticket, read_text(params, "text"))
        return {"market": config.name, "trade": self._row(record, config), "instructions": self._told(written)}

    async def instructions(self, params: Params) -> Mapping[str, Any]:
        """How a ticket is to be paid: what its seller wrote, here or as it came. None if there is nothing yet."""
        record, config = await self._find(params)
        found = self._instructions(record.ticket)
        told = None if found is None else {**self._told(found), "text": found.text}
        return {"market": config.name, "trade": self._row(record, config), "instructions": told}

    async def _records(self) -> list[TradeRecord]:
        stored = await self._node.stored_trades()
        return sorted(stored, key=lambda one: (one.completed_ms, one.ticket))

    async def _find(self, params: Params) -> tuple[TradeRecord, MarketConfig]:
        """The only own ticket whose digest begins with the digits that are asked for."""
        text = params.get("ticket", "")
        digits = text.lower().removeprefix("0x") if isinstance(text, str) else ""
        if not MIN_PREFIX <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
            message = f"ticket: expected 0x and {MIN_PREFIX} to 64 hex digits, was {text!r}"
            raise OrderError("ticket", text, "TICK-1", message)
        found = [one for one in await self._records() if one.ticket.hex().startswith(digits)]
        if len(found) != 1 or found[0].market not in self._configs:
            count = "none" if not found else f"{len(found)} of them"
            message = f"ticket: expected the beginning of one ticket of yours, was {text} which begins {count}"
            raise OrderError("ticket", text, "TICK-1", f"{message}: `orrange trade list` shows them")
        return found[0], self._configs[found[0].market]

    def _instructions(self, ticket: TicketDigest) -> InstructionRecord | None:
        return self._post.book.written(ticket) or self._post.book.received(ticket)

    def _row(self, record: TradeRecord, config: MarketConfig) -> Mapping[str, Any]:
        trade = load_trade(record, config.market())
        ticket, owner = trade.ticket, self._node.kernel.identity.owner
        own, other = trade.maker.order, trade.taker.order
        if own.owner != owner:
            own, other = other, own
        told = self._instructions(record.ticket)
        is_escrow = ticket.kind is TicketKind.ESCROW
        ledger = self._node.kernel.ledger
        return {
            "ticket": f"0x{record.ticket.hex()}",
            "state": self._state(record.ticket, trade),
            "side": own.side.name.lower(),
            "role": "maker" if own is trade.maker.order else "taker",
            "kind": ticket.kind.name.lower(),
            "price_ticks": ticket.price_ticks,
            "lots": ticket.lots,
            "epoch": ticket.epoch,
            "deadline_s": ticket.deadline_s,
            "completed_ms": record.completed_ms,
            "settled_in_block": ledger.settled_in(record.ticket),
            "skip_reason": ledger.skip_reason(record.ticket),
            "counterparty": f"0x{other.owner.hex()}",
            "order": f"0x{(ticket.maker_order if own is trade.maker.order else ticket.taker_order).hex()}",
            "payment_method": ticket.payment_method if is_escrow else None,
            "arbitrator": f"0x{ticket.arbitrator.hex()}" if is_escrow else None,
            "security": ticket.security if is_escrow else None,
            "escrow": self._escrow(record.ticket),
            "instructions": None if told is None else self._told(told),
            "may_instruct": own.side is Side.SELL and self._post.role(record.ticket) == "written",
        }

    def _escrow(self, ticket: TicketDigest) -> Mapping[str, Any] | None:
        """Where what the chain holds for a ticket stands, as this node has read it; None if nothing was opened."""
        standing = self._node.kernel.ledger.escrow(ticket)
        if standing is None:
            return None
        told: dict[str, Any] = {
            "state": standing.state.name.lower(),
            "since_s": standing.since_s,
            "block": standing.block_number,
        }
        moved = standing.moved
        if moved is not None and moved.state is EscrowState.RESOLVED:
            told |= {"seller_base": str(moved.seller_base), "seller_quote": str(moved.seller_quote)}
            told["is_by_default"] = moved.is_by_default
        if moved is not None and moved.state is EscrowState.CANCELLED:
            told["penalty"] = str(moved.penalty)
        return told

    def _state(self, ticket: TicketDigest, trade: SignedTrade) -> str:
        """How far a ticket has come on the chain: settled, skipped, expired, or agreed and nothing more."""
        ledger = self._node.kernel.ledger
        if ledger.settled_in(ticket) is not None:
            return "settled"
        if ledger.skip_reason(ticket) is not None:
            return "skipped"
        last = ledger.last_block
        return "expired" if last is not None and last.time_s > trade.ticket.deadline_s else "agreed"

    def _told(self, record: InstructionRecord) -> Mapping[str, Any]:
        return {
            "version": record.version,
            "since_ms": record.since_ms,
            "is_delivered": record.is_delivered,
            "is_due": record.is_due(self._post.now_ms()),
            "held_by_buyer": record.receipt or None,
        }
