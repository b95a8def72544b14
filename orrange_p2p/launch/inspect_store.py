"""What a node's store says on its own: its book as of any epoch, from blocks and entries on disk and nothing else."""

from dataclasses import dataclass
from pathlib import Path

from orrange_p2p.config import NETWORK_MARK, STORE_NAME, NetworkConfig
from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, compute_book
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import U64_MAX, Digest, Epoch, TicketDigest
from orrange_p2p.errors import ConfigError, LocalProtocolError, ProtocolError, StoreError
from orrange_p2p.store.actions import WINDOW_MARK, load_cuts, load_entries
from orrange_p2p.store.interface import Store
from orrange_p2p.store.lmdb_store import LmdbStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDigest:
    """One market of a store as of one epoch; `entries`, `tickets`, `trades` and `sessions` count all that is there."""

    market: str
    epoch: Epoch
    last_epoch: Epoch
    block: int
    digest: Digest
    orders: int
    entries: int
    tickets: tuple[TicketDigest, ...]
    settled: int
    trades: int
    sessions: int


def digest_store(directory: Path, *, market: str | None = None, epoch: int | None = None) -> StoreDigest:
    """Recompute the book that a stopped node's store implies.

    Args:
        directory: the store, or the node's data directory that holds it.
        market: by name; the only one if None.
        epoch: 0 to that of the last window the node worked on, which it is if None.

    Raises:
        StoreError: no store there, a node uses it, or it is damaged.
        ConfigError: no such market, or no such epoch.
    """
    inner = directory / STORE_NAME
    with _open(inner if inner.is_dir() else directory) as store:
        described = store.mark(NETWORK_MARK)
        if described is None:
            raise StoreError(f"the store at {directory} names no network: name the directory of a node that has run")
        network = NetworkConfig.from_json(described)
        config, rules = network.find_market(market)
        ledger = _read_ledger(store, network, directory)
        feeds = _read_feeds(store, rules, Digests(network.domain()))
        last_epoch, last_block = _read_window(store, rules, directory)
        chosen = last_epoch if epoch is None else Epoch(epoch)
        if not 0 <= chosen <= last_epoch:
            raise ConfigError(f"expected an epoch of 0 to {last_epoch}, was {chosen}")
        book = _book(feeds, ledger, chosen, ledger.block(last_block) if chosen == last_epoch else None)
        trades = [trade for trade in store.trades() if trade.market == rules.market_id]
    heads = feeds.heads()
    return StoreDigest(
        market=config.name,
        epoch=chosen,
        last_epoch=last_epoch,
        block=book.block.number,
        digest=book.digest(),
        orders=len(book.orders),
        entries=sum(head.next_seq for head in heads),
        tickets=_tickets(feeds),
        settled=len(ledger.settled_trades()),
        trades=len(trades),
        sessions=len(heads),
    )


def _open(directory: Path) -> LmdbStore:
    try:
        return LmdbStore.open(directory, create=False)
    except StoreError as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise StoreError(
                f"a running node holds the store at {directory}: stop the node first, or ask it with "
                "`orrange book --json`"
            ) from error
        raise


def _damaged(directory: Path, error: ProtocolError) -> StoreError:
    return StoreError(
        f"the store at {directory} holds what no node wrote ({error}): restore it from a backup, or move it away to "
        "begin with an empty store"
    )


def _read_ledger(store: Store, network: NetworkConfig, directory: Path) -> Ledger:
    ledger = Ledger({rules.market_id: rules.market for rules in network.rules()})
    for block in store.blocks():
        try:
            ledger.add(block)
        except LocalProtocolError as error:
            raise _damaged(directory, error) from error
    return ledger


def _read_feeds(store: Store, rules: MarketRules, digests: Digests) -> Feeds:
    feeds = Feeds(rules)
    for cut in load_cuts(store, digests, rules.market_id):
        feeds.begin(cut.start, Epoch(U64_MAX))
    for entry, _ in load_entries(store, digests, rules.market_id):
        feeds.add(entry)
    return feeds


def _read_window(store: Store, rules: MarketRules, directory: Path) -> tuple[Epoch, int]:
    """Epoch and fund block of the last window that the node worked on."""
    mark = store.mark(WINDOW_MARK + rules.market_id)
    if mark is None:
        raise StoreError(f"the node of the store at {directory} has not worked on any epoch yet: let it run longer")
    match cbor.decode(mark):
        case [int() as epoch, int() as block_number]:
            return Epoch(epoch), block_number
    raise StoreError(f"the store at {directory} is damaged (its last window is unreadable): restore it from a backup")


def _book(feeds: Feeds, ledger: Ledger, epoch: Epoch, block: BlockRef | None) -> Book:
    rules = feeds.rules
    known = block or ledger.fund_block(rules.epoch_start_s(epoch) - rules.preset.fund_lag_s)
    if known is None:
        raise ConfigError(
            f"epoch {epoch} starts before the chain that this store knows: name a later one, or none for the last"
        )
    return compute_book(feeds, ledger, epoch, known)


def _tickets(feeds: Feeds) -> tuple[TicketDigest, ...]:
    """Digests of all tickets in the feeds, ascending."""
    found: dict[TicketDigest, None] = {}
    for head in feeds.heads():
        feed = feeds.feed(head.session)
        for hold in feed.holds if feed is not None else ():
            if not hold.is_offer:
                found[hold.digest] = None
    return tuple(sorted(found))
