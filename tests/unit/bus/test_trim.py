"""What a group still needs, read from what Redis says of it."""

import pytest

from priceverse.bus.trim import needed

OURS = {"name": b"aggregator-group", "last-delivered-id": b"1700000000000-7"}


@pytest.mark.parametrize(
    ("groups", "oldest_pending", "first"),
    [
        ([], None, None),
        ([{"name": b"somebody", "last-delivered-id": b"1-1"}], None, None),
        ([OURS], None, (1_700_000_000_000, 8)),
        ([OURS], b"1700000000000-7", (1_700_000_000_000, 7)),
        ([OURS], b"1600000000000-0", (1_600_000_000_000, 0)),
        ([{"name": b"somebody", "last-delivered-id": b"1-1"}, OURS], None, (1_700_000_000_000, 8)),
        ([OURS | {"last-delivered-id": b"0-0"}], None, (0, 1)),
        ([OURS], b"1700000000001-0", (1_700_000_000_000, 8)),  # the group was put back
    ],
)
def test_the_first_entry_that_is_not_done_with(groups, oldest_pending, first):
    assert needed(groups, {"min": oldest_pending}) == first
