"""A small funded world for chain tests: contracts, two tokens, owners with sessions, and properly signed trades."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from eth_account import Account
from eth_account.messages import encode_typed_data

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import Deployment, deploy
from orrange_p2p.chain.funding import (
    Allocation,
    OwnerFunding,
    SessionGrant,
    TestTokenPlan,
    deploy_test_tokens,
    fund_owners,
)
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import (
    Address,
    Digest,
    Domain,
    Epoch,
    Market,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    Scope,
    Side,
    Signature,
    SignedOrder,
    SignedTrade,
    Ticket,
    TicketDigest,
    TimeInForce,
)
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.session import SessionKey

EPOCH_MS = 1_000
TICKET_LIFE_S = 60
FUND_LAG_S = 2
DELAY_S = 2 * FUND_LAG_S + TICKET_LIFE_S + 1
LOT_SIZE = 1_000
TICK_SIZE = 10
BASE_ALLOCATED = 1_000 * LOT_SIZE
QUOTE_ALLOCATED = 10**9
EIP712_PATH = Path(__file__).parents[2] / "protocol" / "eip712.json"


def dev_key(label: str, seed: int = 1) -> SessionKey:
    """A development key."""
    return SessionKey.from_bytes(derive_secret(str(seed), label))


def faucet_key(label: str = "faucet") -> SessionKey:
    """The account that pays in these tests."""
    return dev_key(label, 1)


@lru_cache(maxsize=1)
def typed_data() -> dict[str, dict[str, list[dict[str, str]]]]:
    """The project's typed-data structs."""
    loaded: dict[str, dict[str, list[dict[str, str]]]] = json.loads(EIP712_PATH.read_text("utf-8"))
    return loaded


def sign_typed(key: SessionKey, domain: Domain, name: str, message: dict[str, object]) -> tuple[Digest, Signature]:
    """Digest and signature as eth-account computes them from protocol/eip712.json, independent of our own digests."""
    signable = encode_typed_data(
        domain_data={
            **typed_data()["domain"],
            "chainId": domain.chain_id,
            "verifyingContract": domain.settlement,
        },
        message_types={name: typed_data()["types"][name]},
        message_data=message,
    )
    digest = Digest(keccak256(b"\x19" + signable.version + signable.header + signable.body))
    secret = key_secrets[key.address]
    signed = Account.unsafe_sign_hash(digest, secret)
    return digest, Signature(bytes(signed.signature))


key_secrets: dict[Address, bytes] = {}


def new_key(label: str) -> SessionKey:
    """A key whose secret eth-account gets too."""
    secret = keccak256(b"orrange test " + label.encode())
    key = SessionKey.from_bytes(secret)
    key_secrets[key.address] = secret
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """An owner, its session, and how many orders it signed."""

    owner: SessionKey
    session: SessionKey


@dataclass(slots=True, kw_only=True)
class World:
    """A deployment with one market and funded traders."""

    backend: Backend
    lane: TransactionLane
    deployment: Deployment
    market: Market
    market_id: MarketId
    traders: list[Trader]
    nonce: int = 0

    async def epoch(self) -> Epoch:
        """The epoch of the newest block's time."""
        head = await self.backend.head()
        return Epoch((head.time_s * 1000 - self.deployment.genesis_ms) // EPOCH_MS)

    def order(self, trader: Trader, side: Side, *, price_ticks: int, quantity_lots: int) -> Order:
        """A fresh order of `trader`."""
        self.nonce += 1
        return Order(
            market=self.market_id,
            owner=trader.owner.address,
            session=trader.session.address,
            nonce=self.nonce,
            side=side,
            kind=OrderKind.LIMIT,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            tif=TimeInForce.GTC,
            expiry_s=0,
        )

    def sign_order(self, order: Order, key: SessionKey) -> SignedOrder:
        """`order` signed by `key` with eth-account; checks that our own digest agrees."""
        digest, signature = sign_typed(key, self.deployment.domain, "Order", order_message(order))
        assert digest == Digest(Digests(self.deployment.domain).order(order))
        return SignedOrder(order=order, signature=signature)

    def sign_ticket(self, ticket: Ticket, key: SessionKey) -> tuple[TicketDigest, Signature]:
        """`ticket` signed by `key` with eth-account; checks that our own digest agrees."""
        digest, signature = sign_typed(key, self.deployment.domain, "Ticket", ticket_message(ticket))
        assert digest == Digest(Digests(self.deployment.domain).ticket(ticket))
        return TicketDigest(digest), signature

    async def trade(
        self,
        *,
        lots: int = 2,
        price_ticks: int = 100,
        maker: int = 0,
        taker: int = 1,
        maker_changes: Mapping[str, object] | None = None,
        taker_changes: Mapping[str, object] | None = None,
        ticket_changes: Mapping[str, object] | None = None,
    ) -> tuple[TicketDigest, SignedTrade]:
        """A trade with every signature right: trader `maker` sells to trader `taker`; changes precede signing."""
        seller, buyer = self.traders[maker], self.traders[taker]
        sell = self.order(seller, Side.SELL, price_ticks=price_ticks, quantity_lots=lots)
        buy = self.order(buyer, Side.BUY, price_ticks=price_ticks, quantity_lots=lots)
        sell = replace(sell, **(maker_changes or {}))  # type: ignore[arg-type]
        buy = replace(buy, **(taker_changes or {}))  # type: ignore[arg-type]
        return await self.ticket_for(sell, buy, seller, buyer, lots, price_ticks, ticket_changes)

    async def ticket_for(
        self,
        sell: Order,
        buy: Order,
        seller: Trader,
        buyer: Trader,
        lots: int,
        price_ticks: int,
        ticket_changes: Mapping[str, object] | None = None,
    ) -> tuple[TicketDigest, SignedTrade]:
        """A ticket between two orders, signed by both sessions."""
        digests = Digests(self.deployment.domain)
        epoch = await self.epoch()
        self.nonce += 1
        ticket = Ticket(
            maker_order=OrderId(digests.order(sell)),
            taker_order=OrderId(digests.order(buy)),
            price_ticks=price_ticks,
            maker_from=0,
            maker_to=lots,
            taker_from=0,
            taker_to=lots,
            epoch=epoch,
            deadline_s=(self.deployment.genesis_ms + epoch * EPOCH_MS) // 1000 + TICKET_LIFE_S,
            ticket_nonce=self.nonce,
        )
        ticket = replace(ticket, **(ticket_changes or {}))  # type: ignore[arg-type]
        digest, maker_signature = self.sign_ticket(ticket, seller.session)
        _, taker_signature = self.sign_ticket(ticket, buyer.session)
        return digest, SignedTrade(
            market=self.market,
            maker=self.sign_order(sell, seller.owner),
            taker=self.sign_order(buy, buyer.owner),
            ticket=ticket,
            maker_signature=maker_signature,
            taker_signature=taker_signature,
        )

    async def group(self, lots: Sequence[int], *, price_ticks: int = 100) -> dict[TicketDigest, SignedTrade]:
        """A FOK order of the last trader against an order of each other trader in turn, one leg for each of `lots`."""
        digests = Digests(self.deployment.domain)
        buyer, makers = self.traders[-1], self.traders[:-1]
        buy = self.order(buyer, Side.BUY, price_ticks=price_ticks, quantity_lots=sum(lots))
        buy = replace(buy, tif=TimeInForce.FOK, expiry_s=2**33)
        epoch = await self.epoch()
        deadline_s = (self.deployment.genesis_ms + epoch * EPOCH_MS) // 1000 + TICKET_LIFE_S // 2
        legs: list[tuple[Trader, SignedTrade]] = []
        for index, count in enumerate(lots):
            seller, start = makers[index % len(makers)], sum(lots[:index])
            sell = self.order(seller, Side.SELL, price_ticks=price_ticks, quantity_lots=count)
            changes = {
                "epoch": epoch,
                "deadline_s": deadline_s,
                "taker_from": start,
                "taker_to": start + count,
            }
            _, trade = await self.ticket_for(sell, buy, seller, buyer, count, price_ticks, changes)
            legs.append((seller, trade))
        group = digests.group(trade.ticket for _, trade in legs)
        signed: dict[TicketDigest, SignedTrade] = {}
        for seller, trade in legs:
            ticket = replace(trade.ticket, group=group)
            digest, maker_signature = self.sign_ticket(ticket, seller.session)
            _, taker_signature = self.sign_ticket(ticket, buyer.session)
            signed[digest] = replace(
                trade, ticket=ticket, maker_signature=maker_signature, taker_signature=taker_signature
            )
        return signed


async def build_world(
    backend: Backend,
    *,
    traders: int = 2,
    label: str = "",
    faucet: SessionKey | None = None,
    terms: Mapping[str, int | Address] | None = None,
) -> World:
    """Deploy and fund. `label` keeps worlds on one chain apart: session keys are used once for ever."""
    lane = TransactionLane(backend, faucet or faucet_key())
    head = await backend.head()
    deployment = await deploy(
        lane,
        genesis_ms=(head.time_s - 100) * 1000,
        epoch_ms=EPOCH_MS,
        ticket_life_s=TICKET_LIFE_S,
        fund_lag_s=FUND_LAG_S,
        deallocation_delay_s=DELAY_S,
        terms=terms,
    )
    base, quote = await deploy_test_tokens(
        lane,
        (TestTokenPlan(name="Base", symbol="BASE", decimals=8), TestTokenPlan(name="Quote", symbol="QUO", decimals=6)),
    )
    market = Market(base=base, quote=quote, lot_size=LOT_SIZE, tick_size=TICK_SIZE, min_fill_lots=1)
    market_id = Digests(deployment.domain).market(market)
    people = [
        Trader(owner=new_key(f"{label} owner {index}"), session=new_key(f"{label} session {index}"))
        for index in range(traders)
    ]
    fundings = [
        OwnerFunding(
            signer=trader.owner,
            allocations=(
                Allocation(market=market_id, token=base, amount=BASE_ALLOCATED),
                Allocation(market=market_id, token=quote, amount=QUOTE_ALLOCATED),
            ),
            grants=(
                SessionGrant(
                    session=trader.session.address,
                    scope=Scope.TICKET | Scope.TRADE,
                    expiry_s=head.time_s + 100_000,
                ),
            ),
        )
        for trader in people
    ]
    await fund_owners(backend, deployment, lane, fundings)
    return World(backend=backend, lane=lane, deployment=deployment, market=market, market_id=market_id, traders=people)


def order_message(order: Order) -> dict[str, object]:
    """An order as eth-account takes it."""
    return {
        "market": order.market,
        "owner": order.owner,
        "session": order.session,
        "nonce": order.nonce,
        "side": int(order.side),
        "kind": int(order.kind),
        "priceTicks": order.price_ticks,
        "quantityLots": order.quantity_lots,
        "tif": int(order.tif),
        "expiry": order.expiry_s,
        "postOnly": order.post_only,
        "minTier": order.min_tier,
        "paymentMethods": list(order.payment_methods),
        "arbitrators": list(order.arbitrators),
        "security": order.security,
    }


def ticket_message(ticket: Ticket) -> dict[str, object]:
    """A ticket as eth-account takes it."""
    return {
        "makerOrder": ticket.maker_order,
        "takerOrder": ticket.taker_order,
        "priceTicks": ticket.price_ticks,
        "makerFrom": ticket.maker_from,
        "makerTo": ticket.maker_to,
        "takerFrom": ticket.taker_from,
        "takerTo": ticket.taker_to,
        "epoch": ticket.epoch,
        "deadline": ticket.deadline_s,
        "ticketNonce": ticket.ticket_nonce,
        "kind": int(ticket.kind),
        "paymentMethod": ticket.payment_method,
        "arbitrator": ticket.arbitrator,
        "security": ticket.security,
        "group": ticket.group,
    }
