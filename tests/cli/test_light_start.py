"""What must load quickly imports no network, no chain and no event loop."""

import subprocess
import sys
import time

import pytest
from cli_program import HEAVY, clean_environment

IMPORT_LIMIT_S = 0.3
ATTEMPTS = 5


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, env=clean_environment()
    )


def test_importing_the_package_is_quick() -> None:
    took_s = []
    for _ in range(ATTEMPTS):
        started_s = time.perf_counter()
        assert _python("import orrange_p2p").returncode == 0
        took_s.append(time.perf_counter() - started_s)
    assert min(took_s) < IMPORT_LIMIT_S


def test_importing_the_package_loads_nothing_heavy() -> None:
    ran = _python(f"import sys, orrange_p2p; print([name for name in {HEAVY} if name in sys.modules])")
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["demo", "--help"], 0),
        (["devnet", "--help"], 0),
        (["node", "run", "--help"], 0),
        (["node", "status", "--data-dir", "nowhere"], 1),
        (["order", "place", "buy", "1", "1", "--data-dir", "nowhere"], 1),
        (["order", "list", "--config", "nowhere.toml"], 1),
        (["order", "cancel", "0x" + "11" * 32, "--socket", "nowhere"], 1),
        (["book", "--data-dir", "nowhere"], 1),
        (["trades", "--data-dir", "nowhere"], 1),
        (["trade", "list", "--data-dir", "nowhere"], 1),
        (["keys", "show", "nowhere.json"], 1),
        (["store", "--help"], 0),
        (["swap", "--help"], 0),
        (["swap", "show", "nowhere"], 1),
    ],
)
def test_light_commands_load_nothing_heavy(arguments: list[str], code: int) -> None:
    ran = _python(
        "import sys; from orrange_p2p.cli.main import main\n"
        f"code = main({arguments!r})\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )
    assert ran.stdout.splitlines()[-1] == f"{code} []", ran.stderr


def test_every_heavy_module_would_be_noticed() -> None:
    ran = _python(f"import sys, orrange_p2p.launch.serve; print([n for n in {HEAVY[:2]} if n in sys.modules])")
    assert ran.stdout.strip() == str(list(HEAVY[:2]))
