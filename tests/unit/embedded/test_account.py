"""As whom a server runs, and how it is told."""

import os

import pytest

from priceverse.embedded.account import Account, _may_search


def test_we_ourselves_need_no_change() -> None:
    own = Account()
    assert own.is_own
    assert own.command(["postgres", "-D", "x"], "KILL") == ["postgres", "-D", "x"]
    assert own.options() == {}


def test_another_account_is_changed_to_without_any_of_our_groups() -> None:
    other = Account(uid=os.geteuid() + 1, gid=7)
    assert other.command(["postgres"], "KILL") == ["postgres"]
    assert other.options() == {"user": os.geteuid() + 1, "group": 7, "extra_groups": []}


def test_behind_closed_directories_setpriv_changes_and_arms_last() -> None:
    other = Account(uid=os.geteuid() + 1, gid=7, setpriv="/usr/bin/setpriv")
    argv = other.command(["postgres", "-D", "x"], "QUIT")
    assert argv[0] == "/usr/bin/setpriv"
    assert argv[-3:] == ["postgres", "-D", "x"]
    assert argv[argv.index("--pdeathsig") + 1] == "QUIT"
    assert argv[argv.index("--ambient-caps") + 1] == "+dac_override"
    assert "--clear-groups" in argv
    assert other.options() == {}


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o700, 0, 0, False),
        (0o701, 0, 0, True),
        (0o711, 0, 0, True),
        (0o710, 0, 104, True),
        (0o701, 0, 104, False),  # the group's bits count for the group, even when others may more
        (0o100, 101, 0, True),
        (0o011, 101, 104, False),
    ],
)
def test_who_may_pass_a_directory(mode: int, uid: int, gid: int, may: bool) -> None:
    of = os.stat_result((0o040000 | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))
    assert _may_search(of, uid=101, gid=104) is may
