"""Which sessions have signed what an honest one never signs, as their own feeds show it.

Every Offer and TicketItem that counts is compared with what its session signed before; what is found does not depend
on the order in which entries come, as two items that contradict each other are found by whichever comes second.
Spec: protocol/spec/08-peers.md [EVID-2], [EVID-4].
"""

from collections.abc import Iterable

from orrange_p2p.core.evidence import are_at_one_time
from orrange_p2p.core.feed import HoldRecord
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import Range, overlaps
from orrange_p2p.core.types import Address, OrderId

Contradiction = tuple[HoldRecord, HoldRecord]


class Convictions:
    """The convicted sessions of one market: by their own feeds, or by evidence from elsewhere."""

    def __init__(self, rules: MarketRules) -> None:
        self._rules = rules
        self._signed: dict[Address, dict[OrderId, list[HoldRecord]]] = {}
        self._numbers: dict[Address, dict[tuple[Address, int], HoldRecord]] = {}
        self._found: dict[Address, Contradiction] = {}
        self._shown: dict[Address, None] = {}

    def __contains__(self, session: Address) -> bool:
        """Whether a session is convicted."""
        return session in self._found or session in self._shown

    def sessions(self) -> tuple[Address, ...]:
        """Convicted sessions, ascending."""
        return tuple(sorted({**self._shown, **self._found}))

    def contradiction(self, session: Address) -> Contradiction | None:
        """The two holds that convict a session, if its own feed does."""
        return self._found.get(session)

    def convict(self, session: Address) -> bool:
        """Evidence from elsewhere convicts a session; whether that is new."""
        is_new = session not in self
        self._shown[session] = None
        return is_new

    def note(self, holds: Iterable[HoldRecord]) -> tuple[Address, ...]:
        """Compare holds with what their sessions signed before; the sessions newly convicted by it, ascending."""
        found: list[Address] = []
        for hold in holds:
            rival = self._find_rival(hold)
            if rival is not None and hold.source not in self._found:
                self._found[hold.source] = (rival, hold)
                if hold.source not in self._shown:
                    found.append(hold.source)
        return tuple(sorted(found))

    def _find_rival(self, hold: HoldRecord) -> HoldRecord | None:
        """An earlier hold of the same session that contradicts this one; this one is remembered."""
        order_id, lots = own_lots(hold)
        signed = self._signed.setdefault(hold.source, {}).setdefault(order_id, [])
        rival = None
        for other in signed:
            is_double = other.digest != hold.digest and overlaps(own_lots(other)[1], lots)
            if is_double and are_at_one_time(self._rules, other.ticket, hold.ticket):
                rival = other
        signed.append(hold)
        taker = hold.source if hold.is_offer else hold.taker_signer
        if taker is not None:
            numbers = self._numbers.setdefault(hold.source, {})
            first = numbers.setdefault((taker, hold.ticket.ticket_nonce), hold)
            rival = first if first.digest != hold.digest else rival
        return rival

    def forget_feed(self, session: Address) -> None:
        """The session's feed is read again: it forked, or was cut; what evidence showed of it stands. Spec: [FEED-15].

        What its feed showed was made evidence if it could be; else it stands only if the feed still shows it.
        """
        for known in (self._signed, self._numbers, self._found):
            known.pop(session, None)


def own_lots(hold: HoldRecord) -> tuple[OrderId, Range]:
    """The own order and lots that a session signed away: the taker's in an Offer, the maker's in a TicketItem."""
    ticket = hold.ticket
    if hold.is_offer:
        return ticket.taker_order, (ticket.taker_from, ticket.taker_to)
    return ticket.maker_order, (ticket.maker_from, ticket.maker_to)
