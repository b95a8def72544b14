"""A draft of a swap between chains, as its initiator would write it."""

DRAFT = """
initiator = "0x0101010101010101010101010101010101010101"
participant = "0x0202020202020202020202020202020202020202"
lasts_s = 3600
margin_s = 120

[first]
chain_id = 1
contract = "0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"
token = "0x0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"
amount = "100000000000000000000"
confirmations = 12
finality_s = 300

[second]
chain_id = 10
contract = "0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"
token = "coin"
amount = 5
confirmations = 3
finality_s = 60
"""
