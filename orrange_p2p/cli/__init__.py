"""The command line: `orrange`."""
