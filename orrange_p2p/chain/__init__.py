"""The chain shell: two chains behind one interface, our contracts, transactions in nonce order, and blocks as facts."""
