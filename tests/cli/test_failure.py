"""How a command ends: one sentence and a code for what was foreseen, a traceback and 70 for what was not."""

import json

import pytest
import typer

from orrange_p2p.cli.failure import BUG, FAILED, INTERRUPTED, Ending
from orrange_p2p.cli.main import main
from orrange_p2p.errors import ConfigError, InternalError, NetworkError, OrderError


def _end(error: BaseException | None, *, as_json: bool = False) -> int:
    with Ending(as_json=as_json) as ending:
        if error is not None:
            raise error
    return ending.exit_code


def test_a_command_that_returns_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(None) == 0
    assert capsys.readouterr() == ("", "")


def test_an_error_of_ours_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(ConfigError("expected a cat, was\na dog")) == FAILED
    assert capsys.readouterr() == ("", "error: expected a cat, was a dog\n")


def test_an_error_inside_groups_of_nurseries_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    error = NetworkError("port 1 is in use")
    assert _end(BaseExceptionGroup("outer", [ExceptionGroup("inner", [error])])) == FAILED
    assert capsys.readouterr().err == "error: port 1 is in use\n"


def test_of_several_errors_the_first_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(ExceptionGroup("both", [ConfigError("first"), ConfigError("second")])) == FAILED
    assert capsys.readouterr().err == "error: first\n"


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), InternalError("x"), ExceptionGroup("both", [ConfigError("first"), KeyError("x")])],
    ids=["foreign", "internal", "mixed"],
)
def test_a_bug_shows_its_traceback_and_ends_with_70(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(error) == BUG
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error: this is a bug in orrange: please report it with the lines above\n")


def test_ctrl_c_ends_with_130_also_inside_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(KeyboardInterrupt()) == INTERRUPTED
    assert _end(BaseExceptionGroup("group", [KeyboardInterrupt(), ConfigError("x")])) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\ninterrupted\n"


def test_ctrl_c_that_the_library_turned_into_an_exit_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    with Ending(as_json=False) as ending:
        app([])
    assert ending.exit_code == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_with_json_the_error_is_also_one_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert _end(OrderError("price", "1.001", "ORD-1", "price: no"), as_json=True) == FAILED
    out, err = capsys.readouterr()
    described = {"code": "order", "message": "price: no", "field": "price", "value": "1.001", "rule": "ORD-1"}
    assert json.loads(out) == {"error": described}
    assert out.count("\n") == 1
    assert err == "error: price: no\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["demo", "--peers", "1"],
        ["demo", "--peers", "many"],
        ["demo", "--events", "0"],
        ["demo", "--speed", "0"],
        ["devnet", "--peers", "1"],
        ["node", "run"],
        ["node", "run", "--config", "x", "--listen-port", "65536"],
        ["node", "run", "--config", "x", "--log-level", "loud"],
        ["order", "place", "buy", "1"],
        ["order", "place", "hold", "1", "1", "--socket", "x"],
        ["order", "place", "buy", "1", "1", "--tif", "NEVER", "--socket", "x"],
        ["order", "cancel"],
        ["book", "--depth", "0"],
        ["trades", "--limit", "0"],
        ["trade", "list", "--limit", "0"],
        ["trade", "instruct"],
        ["trade", "instruct", "0x123456", "pay here"],
        ["trade", "show"],
        ["store", "digest"],
        ["store", "digest", "x", "--epoch", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "Usage: orrange" in out + err


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["demo"], ["devnet"], ["node", "run"], ["node", "status"], ["order", "place"], ["order", "cancel"],
        ["order", "list"], ["book"], ["trades"], ["store", "digest"], ["keys", "new"], ["keys", "show"],
        ["trade", "list"], ["trade", "show"], ["trade", "instruct"], ["trade", "instructions"],
        ["trade", "escrow"], ["trade", "paid"], ["trade", "confirm"], ["trade", "cancel"], ["trade", "dispute"],
        ["trade", "resolve"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_help_page_ends_with_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown or "Start here" in shown
    assert shown.count("orrange") >= 2


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"orrange {version('orrange')}\n"
