"""The executable specification: slow, obvious, and independent of the program that trades.

Each function says which rules of `protocol/spec` it spells out. Where the program and this package disagree, the
program is wrong until the spec changes.
"""
