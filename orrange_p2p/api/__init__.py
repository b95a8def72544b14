"""What a node serves to its own owner."""
