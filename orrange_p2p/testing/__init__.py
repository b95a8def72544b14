"""Fakes that pass the tests of the real things, for tests and simulations."""
