"""A few random reorganisations while owners trade; `python -m tests.chain.reorgs` runs hundreds."""

import pytest

from tests.chain.reorgs import run


@pytest.mark.usefixtures("anvil")
async def test_a_node_that_lives_through_reorganisations_has_what_a_reader_of_the_new_chain_has() -> None:
    """Spec: [BOOK-1]."""
    report = await run(count=5, seed=2, deepest=12)
    assert report.differences == 0
    assert report.submitted_twice == 0
    assert report.tickets_settled > 0
    assert report.compared > report.reorganisations == 5
    assert report.trades_settled > 0
