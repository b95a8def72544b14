"""The own complete tickets of kind 1 and who their parties are, also after the kernel has let go of a ticket."""

from orrange_p2p.core.events import Note
from orrange_p2p.core.instructions import Parties, find_parties
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.types import SignedTrade, TicketDigest, TicketKind
from orrange_p2p.core.verify import VerifiedTicket
from orrange_p2p.store.actions import load_trade
from orrange_p2p.store.interface import Store

MAX_TICKETS = 16_384


class EscrowTickets:
    """Follows one node: `hear` is told its notes, from its start on."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        """Take back the tickets that the store has, the newest `MAX_TICKETS` of them.

        Raises:
            StoreError: a record is damaged.
        """
        self._kernel = kernel
        self._trades: dict[TicketDigest, SignedTrade] = {}
        for record in sorted(store.trades(), key=lambda one: one.completed_ms):
            market = kernel.markets.get(record.market)
            if market is not None:
                self._keep(record.ticket, load_trade(record, market.rules.market))

    def hear(self, note: Note, now_ms: int) -> None:
        """A note of the kernel; one that says that a ticket is complete comes once the ticket is on disk."""
        del now_ms
        if note.name != "escrow_agreed":
            return
        digest = TicketDigest(bytes.fromhex(str(dict(note.details)["ticket"])))
        for market in self._kernel.markets.values():
            hold = market.tickets.get(digest)
            if hold is not None and isinstance(hold.verified, VerifiedTicket):
                item = hold.verified.item
                trade = market.desk.trade(hold.ticket, item.maker_signature, item.taker_signature)
                if trade is not None:
                    self._keep(digest, trade)

    def parties(self, ticket: TicketDigest) -> Parties | None:
        """The parties of a complete own ticket of kind 1; None of any other."""
        trade = self._trades.get(ticket)
        market = self._kernel.markets.get(trade.maker.order.market) if trade is not None else None
        return find_parties(market.feeds, trade) if market is not None and trade is not None else None

    def _keep(self, digest: TicketDigest, trade: SignedTrade) -> None:
        if trade.ticket.kind is not TicketKind.ESCROW:
            return
        self._trades[digest] = trade
        if len(self._trades) > MAX_TICKETS:
            del self._trades[next(iter(self._trades))]
