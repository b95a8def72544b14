"""The store: what a node must still know after kill -9 or a power cut, in one directory of its own.

`interface` says what a store does, `lmdb_store` does it on disk, `orrange_p2p.testing.store` in memory.
"""
