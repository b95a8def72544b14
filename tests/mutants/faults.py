"""Faults to plant, one at a time: each is one change of one line of the program, and the tests that must see it.

A fault stands for a mistake that somebody could make. `old` occurs once in its file; when the line changes for a good
reason, its fault changes with it.
"""

from dataclasses import dataclass

MATCHING = ("tests/core/test_matching_engine.py", "tests/core/test_reference_matching.py")
BOOK = ("tests/core/test_holds_end.py", "tests/core/test_reference_cases.py", "tests/core/test_reference_books.py")
TICKETS = (
    "tests/core/test_own_lots.py",
    "tests/core/test_tickets.py",
    "tests/core/test_ticket_exchange.py",
    "tests/core/test_declines.py",
)
BASES = ("tests/core/test_base_edges.py", "tests/core/test_bases.py", "tests/core/test_base_worlds.py")
SWAPS = ("tests/core/test_swaps.py",)
UNWINDING = ("tests/core/test_unwinding.py",)
SENDING = ("tests/chain/test_chain_crashes.py", "tests/chain/test_chain_lane.py")
ESCROW = ("tests/core/test_escrow.py",)
VECTORS = ("tests/vectors/test_reference_vectors.py",)
CODEC = ("tests/core/test_cbor.py", "tests/core/test_codec.py")


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault: in `path`, the text `old` becomes `new`; one of `tests` has to fail."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


_SLOTS = "orrange_p2p/core/slots.py"
_REPLAY = "orrange_p2p/core/replay.py"
_VIEW = "orrange_p2p/core/owner_view.py"
_FEEDS = "orrange_p2p/core/feeds.py"
_STARTS = "orrange_p2p/core/starts.py"
_SWAPS = "orrange_p2p/core/swaps.py"
_ESCROW = "orrange_p2p/core/escrow.py"
_LANE = "orrange_p2p/chain/lane.py"

FAULTS = (
    Fault(
        "the tie-break is reversed",
        _SLOTS,
        "who = rank + order.session",
        "who = bytes(255 - byte for byte in rank) + order.session",
        MATCHING,
    ),
    Fault(
        "the rank does not depend on the epoch",
        "orrange_p2p/core/period.py",
        "self.beacon + effective.to_bytes(8",
        "self.beacon + (0).to_bytes(8",
        MATCHING,
    ),
    Fault(
        "a price limit is met only from above, > for >=",
        _REPLAY,
        "return walked.price_ticks >= deep.price_ticks",
        "return walked.price_ticks > deep.price_ticks",
        MATCHING,
    ),
    Fault("a self-trade is allowed", _REPLAY, "if one.owner == other.owner or ", "if ", MATCHING),
    Fault(
        "the taker names the price",
        _REPLAY,
        "price_ticks=maker.slot.price_ticks",
        "price_ticks=taker.slot.price_ticks",
        MATCHING,
    ),
    Fault("an IOC's remainder rests", _REPLAY, "if taker.left and not taker.slot.is_ioc:", "if taker.left:", MATCHING),
    Fault(
        "a skipped pair is skipped one way round only",
        _REPLAY,
        "pair not in self._skips and pair[::-1] not in self._skips",
        "pair not in self._skips",
        MATCHING,
    ),
    Fault(
        "the tier is ignored in the order of priority",
        _SLOTS,
        "bytes((U8_MAX - tier,))",
        "bytes((U8_MAX,))",
        MATCHING,
    ),
    Fault("a taker's tier is not asked for", _REPLAY, "one.min_tier > other.tier or ", "", MATCHING),
    Fault(
        "a FOK is filled in part",
        _REPLAY,
        "        if not wanted:\n            return chosen\n    return []",
        "        if not wanted:\n            return chosen\n    return chosen",
        MATCHING,
    ),
    Fault(
        "a post-only order lives though it would take in its own epoch",
        _REPLAY,
        "            coming.left = 0\n",
        "            pass\n",
        MATCHING,
    ),
    Fault(
        "a fill begins at the lots behind the lowest free ones",
        _REPLAY,
        "high = min(end, low + most)",
        "low, high = max(low, end - most), end",
        MATCHING,
    ),
    Fault(
        "a hold is returned one block early",
        _VIEW,
        "if hold.ticket.deadline_s < self._live_from_s:",
        "if hold.ticket.deadline_s <= self._live_from_s:",
        BOOK,
    ),
    Fault("funds that holds reserve are ignored", _VIEW, "left = left.less(amounts)", "left = left", BOOK),
    Fault(
        "each order may spend the whole allocation",
        _VIEW,
        "self.left, self.notional = self.left.less(needed), notional",
        "self.notional = notional",
        BOOK,
    ),
    Fault(
        "a fork does not kill its session",
        "orrange_p2p/core/feeds.py",
        "for record in orders if not feed.is_dead else ():",
        "for record in orders:",
        BOOK,
    ),
    Fault("an order lives one epoch too long", _VIEW, "if self._epoch >= end:", "if self._epoch > end:", BOOK),
    Fault(
        "evidence convicts nobody",
        "orrange_p2p/core/feeds.py",
        "return session not in self.convictions\n",
        "return True\n",
        ("tests/core/test_evidence.py",),
    ),
    Fault(
        "a silent maker stays in the book",
        _VIEW,
        "self._feeds.may_match(session) or session in self._silent",
        "self._feeds.may_match(session)",
        ("tests/core/test_admission.py",),
    ),
    Fault("a cancel does nothing", _VIEW, "ends = [record.cancelled_from]", "ends = [_NEVER]", BOOK),
    Fault(
        "lots are promised twice where ranges overlap in part",
        "orrange_p2p/core/own_lots.py",
        "not overlaps(lock.lots, lots)",
        "lock.lots != lots",
        TICKETS,
    ),
    Fault(
        "a maker countersigns beyond its limit",
        "orrange_p2p/core/countersign.py",
        "            and is_within(ticket.price_ticks, record.order.side, record.order.price_ticks)\n",
        "",
        TICKETS,
    ),
    Fault(
        "a ticket nonce is signed twice",
        "orrange_p2p/core/own_lots.py",
        "return self._nonces.setdefault((taker, ticket_nonce), digest) == digest",
        "return True",
        TICKETS,
    ),
    Fault(
        "a signature with high s is somebody's",
        "orrange_p2p/core/hashing.py",
        '"big") > _HALF_ORDER',
        '"big") > 2 * _HALF_ORDER',
        ("tests/core/test_digests.py", "tests/vectors/test_reference_vectors.py"),
    ),
    Fault(
        "a new base leaves its owner's orders their age",
        _FEEDS,
        "return max(record.claimed, self.base_epoch(record.order.owner))",
        "return record.claimed",
        BASES,
    ),
    Fault(
        "a dead session's base places its owner's orders",
        _FEEDS,
        "if feed.start is None or feed.is_dead or owner != feed.owner:",
        "if feed.start is None or owner != feed.owner:",
        BASES,
    ),
    Fault(
        "a Checkpoint is a base an epoch early",
        _STARTS,
        "return rules.first_epoch_from(rules.epoch_start_s(claimed) + rules.preset.checkpoint_age_s)",
        "return rules.first_epoch_from(rules.epoch_start_s(claimed) + rules.preset.checkpoint_age_s) - 1",
        BASES,
    ),
    Fault(
        "a start lists two Offers of one ticket",
        "orrange_p2p/core/holds.py",
        "_is_each_ticket_once(tickets) and ",
        "",
        VECTORS,
    ),
    Fault(
        "nonces begin anew at a base",
        "orrange_p2p/core/feed_reader.py",
        "self._last_nonce = start.checkpoint.next_nonce - 1",
        "self._last_nonce = -1",
        VECTORS,
    ),
    Fault(
        "a Checkpoint lists the last of two Offers of one ticket",
        "orrange_p2p/core/checkpoints.py",
        "held.setdefault(hold.digest, _Signed(hold.ticket.deadline_s, encoded, order_id))",
        "held[hold.digest] = _Signed(hold.ticket.deadline_s, encoded, order_id)",
        VECTORS,
    ),
    Fault(
        "what a base lists of tickets must still be in time",
        "orrange_p2p/core/feed_reader.py",
        "hold = read_hold(item, self._session, item.item.ticket.epoch, self._rules)",
        "hold = read_hold(item, self._session, header.epoch, self._rules)",
        VECTORS,
    ),
    Fault(
        "a feed begins with bodies that its Checkpoint does not list",
        _STARTS,
        "if hashes != (said.delegation, *said.listed()):",
        "if 0:",
        BASES,
    ),
    Fault("a long head is taken", "orrange_p2p/core/cbor.py", "if argument < _LEAST_ARGUMENT[short]:", "if 0:", CODEC),
    Fault(
        "an entry's items are not what its root says",
        "orrange_p2p/core/codec.py",
        "if compute_items_root(item_bytes) != header.items_root:",
        "if 0:",
        CODEC,
    ),
    Fault(
        "anybody may say how to pay",
        "orrange_p2p/core/instructions.py",
        "if parties.buyer.session != self._own or source != parties.seller.peer:",
        "if parties.buyer.session != self._own:",
        ("tests/core/test_instructions.py",),
    ),
    Fault(
        "older instructions replace newer ones",
        "orrange_p2p/core/instructions.py",
        "if known is not None and version <= known.version:",
        "if known is not None and version == known.version:",
        ("tests/core/test_instructions.py",),
    ),
    Fault(
        "a receipt of an older version counts",
        "orrange_p2p/core/instructions.py",
        "if receipt.ticket_digest != sent.ticket or receipt.version < sent.version:",
        "if receipt.ticket_digest != sent.ticket:",
        ("tests/core/test_instructions.py",),
    ),
    Fault(
        "instructions may command a terminal",
        "orrange_p2p/core/direct_frames.py",
        "if (point < 0x20 and point != _LINE_FEED) or 0x7F <= point <= 0x9F:",
        "if 0x7F <= point <= 0x9F:",
        ("tests/core/test_instructions.py",),
    ),
    Fault(
        "a box for one ticket is read as another's",
        "orrange_p2p/core/direct_frames.py",
        "if held != (ticket, version):",
        "if held[1] != version:",
        ("tests/core/test_instructions.py", "tests/vectors/test_peer_vectors.py"),
    ),
    Fault(
        "a swap's second lock is opened before the first is final",
        _SWAPS,
        "return taken.state is SwapState.OPEN and taken.confirmed is SwapState.OPEN",
        "return taken.state is SwapState.OPEN",
        SWAPS,
    ),
    Fault(
        "a swap's preimage is shown too late to be final",
        _SWAPS,
        "return is_locked and event.latest_s <= _latest_claim_s(record)",
        "return is_locked",
        SWAPS,
    ),
    Fault(
        "a swap's claim that may not have been sent is repeated to the end",
        _SWAPS,
        "return event.latest_s + leg.finality_s < leg.deadline_s",
        "return True",
        SWAPS,
    ),
    Fault(
        "a swap's preimage is believed without its hashlock",
        _SWAPS,
        "is_right = given.preimage is not None and compute_hashlock(given.preimage) == record.pact.hashlock",
        "is_right = given.preimage is not None",
        SWAPS,
    ),
    Fault(
        "a swap's first lock does not outlast its own chain's finality",
        "orrange_p2p/core/swap_terms.py",
        "return initiator_deadline_s - own_lag_s - other_lag_s",
        "return initiator_deadline_s - other_lag_s",
        SWAPS,
    ),
    Fault(
        "a revocation outlives its block",
        "orrange_p2p/core/ledger.py",
        "record.revoked_at > to_block",
        "record.revoked_at > to_block + 1",
        UNWINDING,
    ),
    Fault(
        "funds outlive their block",
        "orrange_p2p/core/ledger.py",
        "count = bisect_right(numbers, to_block)",
        "count = bisect_right(numbers, to_block + 1)",
        UNWINDING,
    ),
    Fault(
        "a book outlives the block that it stands on",
        "orrange_p2p/core/window.py",
        "self.keeper.block_number < to_block",
        "True",
        UNWINDING,
    ),
    Fault(
        "a beacon outlives its anchor",
        "orrange_p2p/core/period.py",
        "stands_on >= to_block",
        "stands_on > to_block + 1",
        UNWINDING,
    ),
    Fault(
        "a ticket is sent again before the chain is as long as it was",
        "orrange_p2p/core/settling.py",
        "last.number < self._idle_before",
        "last.number < 0",
        UNWINDING,
    ),
    Fault(
        "lots are signed away for a time from which their lock was dropped",
        "orrange_p2p/core/own_lots.py",
        "start_s < self._dropped_before_s",
        "start_s < 0",
        UNWINDING,
    ),
    Fault(
        "a transaction is sent before it is written down",
        _LANE,
        "await self._log.write(intent.nonce % SLOTS, encode_intent(intent))",
        "encode_intent(intent)",
        SENDING,
    ),
    Fault(
        "a nonce is given out while the one before may be unknown to the chain",
        _LANE,
        "if pending.intent.nonce >= count and not pending.is_known:",
        "if pending.intent.nonce < 0:",
        SENDING,
    ),
    Fault(
        "what can never be mined is found again after a crash",
        _LANE,
        "if self._log is not None and all(",
        "if self._log is not None and not all(",
        SENDING,
    ),
    Fault(
        "a transaction that the chain took back is forgotten",
        _LANE,
        "one.mined_at > to_block",
        "one.mined_at < 0",
        SENDING,
    ),
    Fault(
        "a ticket goes into a second transaction while one is under way",
        "orrange_p2p/chain/settler.py",
        "if tickets[0] not in self._sent_before:",
        "if tickets[0] not in ():",
        SENDING,
    ),
    Fault(
        "a stuck transaction is replaced at any price",
        "orrange_p2p/chain/fees.py",
        "if max_fee_wei < least.max_fee_wei:",
        "if max_fee_wei < 0:",
        (*SENDING, "tests/chain/test_chain_fees.py"),
    ),
    Fault(
        "a node signs on while no chain answers",
        "orrange_p2p/core/kernel.py",
        "if self.why_chain_lost is not None:",
        "if self.why_chain_lost == '':",
        TICKETS,
    ),
    Fault(
        "a bystander submits other people's tickets as early as the taker",
        "orrange_p2p/core/settling.py",
        "ticket_life_s // 3 * 2000",
        "ticket_life_s // 3 * 1000",
        ("tests/core/test_settling.py",),
    ),
    Fault(
        "the maker of an escrow trade is taken for its seller",
        _ESCROW,
        "(maker, taker) if maker.side is Side.SELL else (taker, maker)",
        "(maker, taker)",
        ESCROW,
    ),
    Fault(
        "a buyer is told to pay in the second in which anyone may cancel",
        _ESCROW,
        "is_over = now_s >= ends_s",
        "is_over = now_s > ends_s",
        ESCROW,
    ),
    Fault(
        "a cancel is said to be free a second too long",
        _ESCROW,
        "now_s < record.since_s + clocks.grace_s",
        "now_s <= record.since_s + clocks.grace_s",
        ESCROW,
    ),
    Fault(
        "a conviction counts for what was in the bond",
        "orrange_p2p/chain/slasher.py",
        'fields["amountDue"]',
        'fields["taken"]',
        ("tests/chain/test_chain_slasher.py",),
    ),
)
