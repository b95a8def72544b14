"""Hypothesis profiles, and the repository's root on the path so that `protocol.reference` and `tests.core` import.

`HYPOTHESIS_PROFILE` names one: `ci` 1,000 examples, the same each time; `deep` 100,000, new ones each time, for a
night (with `--timeout 0`); `explore` 20,000 of them; `quick` 100 for a desk; `planted` 50 and no shrinking, for faults
that are planted. Tests whose examples are whole worlds take a stated part of these numbers.
"""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

SLOW_ON_PURPOSE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci", max_examples=1000, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW_ON_PURPOSE
)
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=100)
settings.register_profile(
    "planted", parent=settings.get_profile("ci"), max_examples=50, phases=(Phase.explicit, Phase.generate)
)
settings.register_profile("deep", parent=settings.get_profile("ci"), max_examples=100_000, derandomize=False)
settings.register_profile("explore", parent=settings.get_profile("ci"), max_examples=20_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
