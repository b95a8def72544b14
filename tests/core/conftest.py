"""Hypothesis profiles, and the repository's root on the path so that `protocol.reference` and `tests.core` import."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

SLOW_ON_PURPOSE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci", max_examples=1000, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW_ON_PURPOSE
)
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=100)
settings.register_profile("explore", parent=settings.get_profile("ci"), max_examples=20000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
