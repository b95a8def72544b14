"""`python -m orrange_p2p`: the command line where the script `orrange` is not installed."""

from orrange_p2p.cli.main import run

run()
