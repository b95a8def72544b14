"""The protocol's authority: the numbered rules, the wire schema, and the executable reference that tests hold the code to."""
