"""A process that commits until it is killed, and prints the number of each commit after it is acknowledged.

Commit `n` holds entry, trade, block and mark `n`, so that a reader can tell a torn commit from a whole one. Three
commits at a time go through the group commit of as many tasks, every fourth goes straight to disk.
"""

import sys
from functools import partial

import trio
from store_samples import NETWORK, make_block, make_entry, make_trade

from orrange_p2p.store.interface import Mark, StoreBatch
from orrange_p2p.store.lmdb_store import LmdbStore

ENTRY_BYTES = 3000
COMMITS_MAX = 1_000_000


def make_batch(number: int) -> StoreBatch:
    """What commit `number` writes."""
    return StoreBatch(
        entries=(make_entry(number, encoded=number.to_bytes(8, "big") * (ENTRY_BYTES // 8)),),
        blocks=(make_block(number),),
        trades=(make_trade(number.to_bytes(32, "big")),),
        marks=(Mark(name=b"last %d" % (number % 3), value=number.to_bytes(8, "big")),),
    )


async def main(path: str, first: int) -> None:
    """Commit from number `first` on, three at a time in tasks and then one alone."""

    async def commit(number: int) -> None:
        await store.commit_async(make_batch(number))
        print(number, flush=True)

    with LmdbStore.open(path, create=True, network_id=NETWORK) as store:
        for number in range(first, first + COMMITS_MAX, 4):
            async with trio.open_nursery() as nursery:
                for offset in range(3):
                    nursery.start_soon(commit, number + offset)
            store.commit(make_batch(number + 3))
            print(number + 3, flush=True)


if __name__ == "__main__":
    trio.run(partial(main, sys.argv[1], int(sys.argv[2])))
