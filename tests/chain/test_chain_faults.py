"""A few random faults while tickets settle; `python -m tests.chain.faults` injects a thousand."""

import pytest

from tests.chain.faults import run


@pytest.mark.usefixtures("anvil")
async def test_faults_of_endpoints_lose_no_event_and_submit_nothing_twice() -> None:
    report = await run(count=12, seed=3)
    assert report.is_good, report
    assert report.injected == 12
    assert report.tickets > 0
