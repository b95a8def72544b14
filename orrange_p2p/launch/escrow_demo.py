"""The escrow demo: a seller's and a buyer's node, a process each, trade by escrow on anvil, to three different ends.

Both nodes find each other, agree on a ticket and settle it into the escrow contract. The seller's node sends sealed
payment instructions. From there on each side acts as its own account; both nodes follow what the chain says of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import trio

from orrange_p2p.core.escrow import EscrowState, EscrowStep
from orrange_p2p.core.types import Address, TicketDigest
from orrange_p2p.errors import ConfigError, OrderError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.build import deployment_of
from orrange_p2p.launch.devnet import Devnet, DevnetPlan, open_devnet
from orrange_p2p.launch.devnet_remote import RemoteNode
from orrange_p2p.launch.escrow_books import Holdings, expect_end, read_holdings
from orrange_p2p.launch.escrow_report import ENDINGS, EscrowReport, EscrowStory, Step
from orrange_p2p.launch.escrow_steps import EscrowCase, Split, read_case, take_step
from orrange_p2p.launch.process import wall_clock_ms

LIMIT_S = 240
TERMS: Mapping[str, int | Address] = {"graceS": 2, "payS": 12, "confirmS": 60, "arbitrationS": 60}
PRICE_TICKS, LOTS = 4_000_000, 500
PAYMENT_METHOD = 1
SPLIT = Split(seller_base_bps=2_500, seller_bonds_bps=6_000)
_WAIT_S = 40
_POLL_S = 0.2
_SELLER, _BUYER = 0, 1

_T = TypeVar("_T")


class _Silent:
    """A devnet's listener that passes on its stages alone."""

    def __init__(self, on_stage: Callable[[str], None]) -> None:
        self.on_stage = on_stage

    def on_progress(self, sent_events: int) -> None:
        """Nobody counts here."""

    def on_peers(self, peers: object) -> None:
        """Nobody restarts them here."""

    def on_peer_gone(self, peer: object, exit_code: int) -> None:
        """The story fails by itself."""

    def on_peer_back(self, peer: object) -> None:
        """Never here."""


class _Story:
    """One trade while it runs."""

    def __init__(self, devnet: Devnet, judge: SessionKey, name: str, on_step: Callable[[Step], None]) -> None:
        self._devnet = devnet
        self._judge = judge
        self._name = name
        self._on_step = on_step
        self._steps: list[Step] = []
        escrow = deployment_of(devnet.network).escrow
        if escrow is None:
            raise ConfigError("expected a network with an escrow contract, was one without")
        self._escrow = escrow

    async def run(self) -> EscrowStory:
        """Trade, and bring the escrow to its end."""
        before = await self._holdings()
        ticket = await self._agree()
        is_instructed = await self._instruct(ticket)
        await self._wait_state(ticket, EscrowState.OPEN)
        trade = (await self._case(ticket)).trade
        self._tell("chain", "opened", base=str(trade.base_amount), bond=str(trade.bond_amount))
        await {"release": self._release, "timeout": self._time_out, "split": self._split}[self._name](ticket)
        ending = ENDINGS[self._name]
        states = await self._wait_state(ticket, ending)
        return EscrowStory(
            name=self._name,
            ticket=f"0x{ticket.hex()}",
            states=states,
            is_instructed=is_instructed,
            steps=tuple(self._steps),
            before=before,
            after=await self._holdings(),
            expected=expect_end(before, trade, ending, SPLIT),
        )

    async def _agree(self) -> TicketDigest:
        """Both nodes place an order, and agree on a ticket."""
        known = await self._tickets(_SELLER)
        terms = {
            "price_ticks": PRICE_TICKS,
            "quantity_lots": LOTS,
            "security": 1 + list(ENDINGS).index(self._name),
            "payment_methods": [PAYMENT_METHOD],
            "arbitrators": [f"0x{self._judge.address.hex()}"],
        }
        await self._ask(_SELLER, "order.place", side="sell", **terms)
        await self._ask(_BUYER, "order.place", side="buy", **terms)
        self._tell("both", "ordered", lots=LOTS, price_ticks=PRICE_TICKS, security=terms["security"])

        async def find() -> TicketDigest | None:
            both = [await self._tickets(number) for number in (_SELLER, _BUYER)]
            new = [ticket for ticket in both[_SELLER] if ticket not in known and ticket in both[_BUYER]]
            return TicketDigest(bytes.fromhex(new[0].removeprefix("0x"))) if new else None

        ticket = await self._wait("a ticket that both nodes hold", find)
        self._tell("both", "agreed", ticket=f"0x{ticket.hex()}")
        return ticket

    async def _instruct(self, ticket: TicketDigest) -> bool:
        """The seller writes how to pay; the buyer's node gets it."""
        named = f"0x{ticket.hex()}"
        text = f"Account 12-345, purpose {named[:10]}"
        await self._ask(_SELLER, "trade.instruct", ticket=named, text=text)

        async def arrived() -> str | None:
            told = (await self._ask(_BUYER, "trade.instructions", ticket=named))["instructions"]
            return None if told is None else str(told["text"])

        read = await self._wait("the instructions at the buyer's node", arrived)
        self._tell("buyer", "instructed", characters=len(read))
        return read == text

    async def _release(self, ticket: TicketDigest) -> None:
        await self._take("buyer", EscrowStep.MARK_PAID, ticket)
        await self._wait_state(ticket, EscrowState.PAID)
        await self._take("seller", EscrowStep.RELEASE, ticket)

    async def _time_out(self, ticket: TicketDigest) -> None:
        async def is_over() -> bool | None:
            return EscrowStep.CANCEL in (await self._case(ticket)).open_to(self._signer("seller").address) or None

        await self._wait("the end of the time to pay", is_over)
        self._tell("buyer", "silent", seconds=int(TERMS["payS"]))
        await self._take("seller", EscrowStep.CANCEL, ticket)

    async def _split(self, ticket: TicketDigest) -> None:
        await self._take("buyer", EscrowStep.MARK_PAID, ticket)
        await self._take("seller", EscrowStep.DISPUTE, ticket)
        await self._wait_state(ticket, EscrowState.DISPUTED)
        await self._take("judge", EscrowStep.RESOLVE, ticket, SPLIT)

    async def _take(self, who: str, step: EscrowStep, ticket: TicketDigest, split: Split | None = None) -> None:
        """A step by somebody's own account, as `orrange trade` takes it."""
        case = await self._case(ticket)
        after = await take_step(self._devnet.backend, case, self._signer(who), step, split=split)
        self._tell(who, step.value, state=after.record.state.name.lower(), at_s=after.record.since_s)

    def _signer(self, who: str) -> SessionKey:
        members = self._devnet.members
        return {"seller": members[_SELLER].owner, "buyer": members[_BUYER].owner, "judge": self._judge}[who]

    async def _case(self, ticket: TicketDigest) -> EscrowCase:
        network = self._devnet.network
        return await read_case(self._devnet.backend, self._escrow, ticket, first_block=network.deployed_at_block)

    async def _wait_state(self, ticket: TicketDigest, state: EscrowState) -> tuple[str, ...]:
        """Wait until both nodes have read where the trade stands, seller's first."""
        wanted = state.name.lower()

        async def seen() -> tuple[str, ...] | None:
            told = [await self._ask(node, "trade.show", ticket=f"0x{ticket.hex()}") for node in (_SELLER, _BUYER)]
            states = tuple(str((one["trade"]["escrow"] or {}).get("state")) for one in told)
            return states if states == (wanted, wanted) else None

        states = await self._wait(f"state {wanted} at both nodes", seen)
        self._tell("both", "saw", state=wanted)
        return states

    async def _tickets(self, number: int) -> list[str]:
        return [str(trade["ticket"]) for trade in (await self._ask(number, "trade.list"))["trades"]]

    async def _ask(self, number: int, method: str, **params: object) -> Any:  # noqa: ANN401 - JSON
        node: RemoteNode = self._devnet.nodes[number]
        return await node.ask(method, **params)

    async def _wait(self, what: str, ask: Callable[[], Awaitable[_T | None]]) -> _T:
        with trio.move_on_after(_WAIT_S):
            while True:
                try:
                    found = await ask()
                except OrderError:
                    found = None  # Not known there yet.
                if found is not None:
                    return found
                await trio.sleep(_POLL_S)
        raise ConfigError(f"expected {what} within {_WAIT_S} s, was none")

    async def _holdings(self) -> Holdings:
        owners = {"seller": self._devnet.members[_SELLER], "buyer": self._devnet.members[_BUYER]}
        network = self._devnet.network
        places = {who: member.owner.address for who, member in owners.items()} | {"judge": self._judge.address}
        return await read_holdings(self._devnet.backend, deployment_of(network), network.rules()[0], places)

    def _tell(self, who: str, step: str, **details: object) -> None:
        heard = {"trade": self._name, "who": who, "step": step, **details}
        self._steps.append(heard)
        self._on_step(heard)


async def run_escrow_demo(
    seed: str, *, on_stage: Callable[[str], None], on_step: Callable[[Step], None]
) -> EscrowReport:
    """Run the three trades, one after the other.

    Args:
        seed: all keys derive from it.
        on_stage: told what happens now.
        on_step: told of each step of each trade.

    Raises:
        ConfigError: no anvil or no free ports, or a trade did not come so far in time.
        OrrangeError: anything else that a person can do something about, in one sentence.
    """
    started_ms = wall_clock_ms()
    judge = SessionKey.from_bytes(derive_secret(seed, "judge"))
    plan = DevnetPlan(peers=2, events=(), speed=1, seed=seed, terms=TERMS, accounts=(judge.address,))
    stories: list[EscrowStory] = []
    async with AsyncExitStack() as opened:
        devnet = await opened.enter_async_context(open_devnet(plan, _Silent(on_stage)))
        with trio.move_on_after(LIMIT_S) as limit:
            for name in ENDINGS:
                on_stage(f"a trade that ends by {name}")
                stories.append(await _Story(devnet, judge, name, on_step).run())
        if limit.cancelled_caught:
            raise ConfigError(f"expected three trades within {LIMIT_S} s, was {len(stories)}: the machine is too busy")
        on_stage("stopping both nodes and the chain")
    return EscrowReport(trades=tuple(stories), duration_s=(wall_clock_ms() - started_ms) // 1000)
