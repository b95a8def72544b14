"""Programs that start whole nodes: one node, the demo, the devnet."""
