"""A holder is dead only when that is known."""

import os

from priceverse.bus.holder import is_dead, myself


def test_this_process_lives():
    assert not is_dead(myself())


def test_no_two_names_are_the_same():
    assert myself() != myself()


def test_a_recycled_process_id_is_another_process():
    machine, pid, _, rest = myself().split(":")
    assert is_dead(f"{machine}:{pid}:1:{rest}")


def test_nobody_on_this_machine_has_such_a_process_id():
    machine, _, started, rest = myself().split(":")
    assert is_dead(f"{machine}:{2**22 + 1}:{started}:{rest}")


def test_of_another_machine_nothing_is_known():
    assert not is_dead(f"elsewhere/1:{os.getpid()}:1:abcd")


def test_who_wrote_something_else_is_not_known():
    assert not is_dead("")
    assert not is_dead("elsewhere")
