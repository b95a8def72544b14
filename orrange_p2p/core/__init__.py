"""The pure core: values in, values out. No I/O, clock, float, randomness, logging, async, or iteration over sets."""
