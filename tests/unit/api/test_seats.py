"""Seats: so many each, in all processes of an instance together, and none held by the dead."""

import pytest

from priceverse.api.seats import COLUMNS, Seats
from priceverse.rpc.errors import CallError, Code


@pytest.fixture
def processes(tmp_path):
    """Makes the seats of a process; `close` is what the kernel does to one that ends."""
    made = []

    def start(most=3):
        made.append(Seats(most, tmp_path / "streams"))
        return made[-1]

    yield start
    for each in made:
        each.close()


def free(seats, client="a"):
    try:
        seats.check(client)
    except CallError as error:
        return error.code is not Code.TOO_MANY_REQUESTS
    return True


def test_a_seat_is_free_again_when_it_is_left():
    seats = Seats(2)
    seats.sit("a")
    seats.sit("a")
    assert not free(seats)
    assert free(seats, "b")
    seats.leave("a")
    assert free(seats)


def test_without_a_number_there_are_seats_for_all():
    seats = Seats(None)
    for _ in range(1000):
        seats.sit("a")
    assert free(seats)


def test_the_processes_of_an_instance_count_together(processes):
    one, two = processes(), processes()
    for seats in (one, one, two):
        assert free(one)
        assert free(two)
        seats.sit("a")
    assert (free(one), free(two), free(two, "b")) == (False, False, True)
    one.leave("a")
    assert free(two)


def test_what_a_process_held_that_ended_is_free(processes):
    one, two = processes(), processes()
    for _ in range(3):
        one.sit("a")
    assert not free(two)
    one.close()
    assert free(two)


def test_a_new_process_begins_with_none_of_those_of_a_dead_one(processes):
    one = processes()
    for _ in range(3):
        one.sit("a")
    one.close()
    assert free(processes())
    assert free(processes())


def test_a_crowd_takes_nobody_elses_seats(processes):
    seats = processes(most=20)
    for n in range(2000):
        for _ in range(20 if n < 10 else 2):
            seats.sit(f"client {n}")
    assert all(free(seats, f"other {n}") for n in range(2000))


def test_a_process_too_many_knows_its_own(processes):
    crowd = [processes() for _ in range(COLUMNS + 1)]
    for seats in crowd[:3]:
        seats.sit("a")
    assert not free(crowd[0])
    crowd[-1].sit("a")
    crowd[-1].leave("a")


def test_where_there_can_be_no_file_a_process_counts_for_itself(tmp_path):
    seats = Seats(1, tmp_path / "none" / "streams")
    seats.sit("a")
    assert not free(seats)
