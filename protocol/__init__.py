"""The protocol's authority: numbered rules, the wire schema, and the reference that tests hold the code to."""
