"""The chain shell: two chains behind one interface, contracts, transactions in nonce order, and the facts of each block."""
