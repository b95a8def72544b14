"""The README's commands for a running node, in its order, on a running node."""

import re
import shlex

from cli_program import ROOT, Net, orrange

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^orrange (.*--data-dir net/peer-0.*)$", README, re.MULTILINE)


def test_the_commands_work_in_their_order(net: Net) -> None:
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        done = orrange(*shlex.split(command.replace("net/peer-0", str(net.peer(0)))))
        assert (done.code, done.err) == (0, ""), command
        assert done.out


def test_an_id_from_the_list_can_be_cancelled(net: Net) -> None:
    assert "`orrange order cancel ID`" in README
    net.ask(0, "order", "place", "sell", "310.00", "0.5")
    shown = orrange("order", "list", "--data-dir", net.peer(0)).out
    short = re.findall(r"0x[0-9a-f]+", shown)[-1]
    assert orrange("order", "cancel", short, "--data-dir", net.peer(0)).code == 0
