"""orrange: a peer-to-peer crypto exchange."""
