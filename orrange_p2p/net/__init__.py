"""The network shell: the only place that touches py-libp2p. It moves bytes and peers and knows nothing of orders.

`Network` in `orrange_p2p.net.network` is the whole of it for the rest of the program; `messages` and `settings` hold
the values it takes and gives and import no library. Inside, each module tames one layer of the library by subclass:
`muxer` (Yamux), `swarm` (connections), `host` (streams), `mesh` (the gossipsub router), `gossip` (its messages).
"""
