"""What a running node answers on its control socket."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from orrange_p2p.api.control import Method, Params
from orrange_p2p.config import MarketConfig, NetworkConfig
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import total
from orrange_p2p.core.types import Epoch, OrderKind, Side, TimeInForce
from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.conserve import compute_moved
from orrange_p2p.launch.instruction_post import InstructionPost
from orrange_p2p.launch.params import (
    read_address,
    read_boolean,
    read_choice,
    read_integer,
    read_list,
    read_order_id,
    units_of,
)
from orrange_p2p.launch.report import Measurements
from orrange_p2p.launch.reputation_answer import answer_reputation
from orrange_p2p.launch.trade_methods import trade_methods
from orrange_p2p.net.addresses import peer_text
from orrange_p2p.node import Node

MAX_ROWS = 10_000


def control_methods(
    node: Node, network: NetworkConfig, measurements: Measurements, post: InstructionPost
) -> dict[str, Method]:
    """The methods of a node, by name. Each takes and gives JSON values; amounts are integers in ticks and lots."""
    owner = _Owner(node, network, measurements, post)
    return {
        **trade_methods(node, network, post),
        "order.place": owner.place,
        "order.modify": owner.modify,
        "order.cancel": owner.cancel,
        "order.cancel_all": owner.cancel_all,
        "order.list": owner.orders,
        "book": owner.book,
        "book.digest": owner.digest,
        "trades": owner.trades,
        "status": owner.status,
        "markets": owner.markets,
        "reputation": owner.reputation,
        "measurements": owner.measurements,
    }


class _Owner:
    """Answers one owner's questions about one node."""

    def __init__(self, node: Node, network: NetworkConfig, measurements: Measurements, post: InstructionPost) -> None:
        self._post = post
        self._node = node
        self._network = network
        self._measurements = measurements

    def _market(self, params: Params) -> tuple[MarketConfig, MarketRules, MarketKernel]:
        config, rules = self._network.find_market(params.get("market"))
        return config, rules, self._node.kernel.markets[rules.market_id]

    async def place(self, params: Params) -> Mapping[str, Any]:
        _, rules, _ = self._market(params)
        order_id = await self._node.place_order(
            rules.market_id,
            read_choice(params, "side", Side),
            read_integer(params, "price_ticks"),
            read_integer(params, "quantity_lots"),
            tif=read_choice(params, "tif", TimeInForce, default="GTC"),
            expiry_s=read_integer(params, "expiry_s", default=0),
            kind=read_choice(params, "kind", OrderKind, default="limit"),
            post_only=read_boolean(params, "post_only"),
            min_tier=read_integer(params, "min_tier", default=0),
            payment_methods=tuple(read_list(params, "payment_methods", int)),
            arbitrators=tuple(
                read_address("arbitrators", one, "ORD-4") for one in read_list(params, "arbitrators", str)
            ),
            security=read_integer(params, "security", default=0),
        )
        return {"order_id": f"0x{order_id.hex()}"}

    async def modify(self, params: Params) -> Mapping[str, Any]:
        """Replace an order; what is not named stays, and a quantity not named is what no ticket has taken."""
        _, rules, _ = self._market(params)
        replaced = read_order_id(params)
        names = ("price_ticks", "quantity_lots", "expiry_s")
        price_ticks, quantity_lots, expiry_s = (
            read_integer(params, name) if params.get(name) is not None else None for name in names
        )
        order_id = await self._node.modify_order(
            rules.market_id, replaced, price_ticks=price_ticks, quantity_lots=quantity_lots, expiry_s=expiry_s
        )
        return {"order_id": f"0x{order_id.hex()}", "replaced": f"0x{replaced.hex()}"}

    async def cancel_all(self, params: Params) -> Mapping[str, Any]:
        _, rules, _ = self._market(params)
        order_ids = await self._node.cancel_all_orders(rules.market_id)
        return {"order_ids": [f"0x{order_id.hex()}" for order_id in order_ids]}

    async def cancel(self, params: Params) -> Mapping[str, Any]:
        _, rules, _ = self._market(params)
        order_id = await self._node.cancel_order(rules.market_id, read_order_id(params))
        return {"order_id": f"0x{order_id.hex()}"}

    async def orders(self, params: Params) -> Mapping[str, Any]:
        """Own live orders as of the last window, and those placed since."""
        config, _, state = self._market(params)
        rows = []
        session = state.desk.identity.session
        feed = state.feeds.feed(session)
        epoch = state.windows.current.epoch if state.windows.current else -1
        for record in feed.orders.values() if feed is not None else ():
            row = state.windows.keeper.order(record.order_id)
            if row is None and record.claimed <= epoch:
                continue
            order = record.order
            free = total(row.free) if row is not None else order.quantity_lots
            rows.append(
                {
                    "order_id": f"0x{record.order_id.hex()}",
                    "side": order.side.name.lower(),
                    "price_ticks": order.price_ticks,
                    "quantity_lots": order.quantity_lots,
                    "free_lots": free,
                    "tif": order.tif.name,
                    "kind": order.kind.name.lower(),
                    "expiry_s": order.expiry_s,
                    "post_only": order.post_only,
                    "min_tier": order.min_tier,
                    "security": order.security,
                    "payment_methods": list(order.payment_methods),
                    "arbitrators": [f"0x{one.hex()}" for one in order.arbitrators],
                    "epoch": record.claimed,
                    "is_matchable": row.is_matchable if row is not None else None,
                }
            )
        return {"market": config.name, "orders": rows[:MAX_ROWS], "units": units_of(config)}

    async def book(self, params: Params) -> Mapping[str, Any]:
        """Price levels of matchable orders as of the last window, best first."""
        config, rules, _ = self._market(params)
        depth = read_integer(params, "depth", default=20)
        book = self._node.shown_book(rules.market_id)
        sides: dict[str, list[dict[str, int]]] = {}
        for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            levels: dict[int, list[int]] = {}
            for row in book.orders if book is not None else ():
                if row.order.side is side and row.is_matchable:
                    levels.setdefault(row.order.price_ticks, []).append(total(row.free))
            best_first = sorted(levels, reverse=side is Side.BUY)[:depth]
            sides[name] = [
                {"price_ticks": price, "lots": sum(levels[price]), "orders": len(levels[price])} for price in best_first
            ]
        return {
            "market": config.name,
            "epoch": book.epoch if book is not None else None,
            "digest": book.digest().hex() if book is not None else None,
            "units": units_of(config),
            **sides,
        }

    async def digest(self, params: Params) -> Mapping[str, Any]:
        """The book digest as of an epoch (the last window's if none is named), and counts."""
        _, rules, state = self._market(params)
        current = state.windows.current
        if current is None:
            raise ConfigError("no window has opened yet: try again in a few seconds")
        epoch = Epoch(read_integer(params, "epoch", default=current.epoch))
        if not 0 <= epoch <= current.epoch:
            raise ConfigError(f"expected an epoch of 0 to {current.epoch}, was {epoch}")
        book = self._node.book_at(rules.market_id, epoch)
        return {
            "epoch": epoch,
            "block": book.block.number,
            "digest": book.digest().hex(),
            "orders": len(book.orders),
            "entries": sum(head.next_seq for head in state.feeds.heads()),
            "tickets": sorted(digest.hex() for digest in state.tickets),
            "settled": sorted(fact.ticket.hex() for fact in self._node.kernel.ledger.settled_trades()),
        }

    async def trades(self, params: Params) -> Mapping[str, Any]:
        """Tickets seen, newest epoch last, with what the chain says of them."""
        config, _, state = self._market(params)
        ledger = self._node.kernel.ledger
        rows = []
        holds = sorted(state.tickets.values(), key=lambda hold: (hold.ticket.epoch, hold.digest))
        for hold in holds[-read_integer(params, "limit", default=100) :]:
            ticket = hold.ticket
            block = ledger.settled_in(hold.digest)
            is_own = any(state.desk.own_order(order) is not None for order in (ticket.maker_order, ticket.taker_order))
            rows.append(
                {
                    "ticket": f"0x{hold.digest.hex()}",
                    "epoch": ticket.epoch,
                    "price_ticks": ticket.price_ticks,
                    "lots": ticket.lots,
                    "maker_order": f"0x{ticket.maker_order.hex()}",
                    "taker_order": f"0x{ticket.taker_order.hex()}",
                    "is_own": is_own,
                    "settled_in_block": block,
                }
            )
        return {"market": config.name, "trades": rows, "units": units_of(config)}

    async def markets(self, params: Params) -> Mapping[str, Any]:
        """The markets this node follows, with the units of their amounts."""
        del params
        return {
            "markets": [
                {
                    "name": config.name,
                    "market_id": f"0x{rules.market_id.hex()}",
                    "base": config.base,
                    "quote": config.quote,
                    "min_fill_lots": config.min_fill_lots,
                    "units": units_of(config),
                }
                for config, rules in zip(self._network.markets, self._network.rules(), strict=True)
            ]
        }

    async def reputation(self, params: Params) -> Mapping[str, Any]:
        """Why an owner, this node's own if none is named, has its score in the current period."""
        _, rules, state = self._market(params)
        named = params.get("owner")
        owner = self._node.kernel.identity.owner if named is None else read_address("owner", named, "REP-1")
        ledger, period = self._node.kernel.ledger, state.windows.period
        return answer_reputation(ledger, period, rules.preset.period_s, owner)

    async def status(self, params: Params) -> Mapping[str, Any]:
        """How the node is."""
        del params
        node = self._node
        last, counters = node.kernel.ledger.last_block, node.statistics()
        return {
            "peer_id": peer_text(node.peer_id),
            "owner": f"0x{node.kernel.identity.owner.hex()}",
            "session": f"0x{node.kernel.identity.session.hex()}",
            "addresses": node.addresses(),
            "peers": [peer_text(peer) for peer in node.connected_peers()],
            "block": last.number if last is not None else None,
            "why_not_signing": node.kernel.why_not_sign(),
            "chain_doubt": node.chain_doubt(),
            "settling": _settling(counters),
            "counters": {**counters, "instructions": self._post.statistics()},
            "gossip_drops": node.gossip_drops(),
            "pending": {
                config.name: _pending(node.kernel.markets[rules.market_id])
                for config, rules in zip(self._network.markets, self._network.rules(), strict=True)
            },
        }

    async def measurements(self, params: Params) -> Mapping[str, Any]:
        """Tickets as maker by path, from the store; latencies since the start; what the tickets held moved."""
        _, _, state = self._market(params)
        by_path: Counter[str] = Counter()
        for trade in await self._node.stored_trades():
            hold = state.tickets.get(trade.ticket)
            if hold is not None and state.desk.own_order(hold.ticket.maker_order) is not None:
                by_path[trade.path] += 1
        return {
            "by_path": dict(by_path),
            "order_to_ticket_ms": list(self._measurements.order_to_ticket_ms),
            "ticket_to_chain_ms": dict(self._measurements.ticket_to_chain_ms),
            "moved": {
                f"0x{owner.hex()}": {"base": moved.base, "quote": moved.quote}
                for owner, moved in compute_moved(state).items()
            },
        }


def _settling(counters: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Tickets on their way to the chain, why none of them goes, and own ones that were too late for it."""
    settler = counters["settler"]
    shown = {name: settler[name] for name in ("waiting", "sent", "held_back_for")}
    return {**shown, "missed": counters["kernel"].get("settlement_missed", 0)}


def _pending(state: MarketKernel) -> dict[str, Any]:
    window = state.windows.current
    return {
        "epoch": window.epoch if window is not None else None,
        "entitled": len(window.pieces) if window is not None else 0,
        "outbox": len(state.desk.outbox),
        "exchanges": len(state.taker),
        "unsettled": len(state.settling),
        "heads": {f"0x{head.session.hex()}": head.next_seq for head in state.feeds.heads()},
    }
