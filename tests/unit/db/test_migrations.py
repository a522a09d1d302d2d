"""Which migrations a database still needs."""

from pathlib import Path

import pytest

from priceverse.db.migrations import Applied, Migration, SchemaChanged, load, missing_pairs, pending, roles

ONE, TWO, THREE = (Migration(f"000{n}_{word}", f"up {n}", f"down {n}") for n, word in enumerate(("a", "b", "c"), 1))
KNOWN = (ONE, TWO, THREE)


def applied(*migrations: Migration) -> list[Applied]:
    return [Applied(each.name, each.checksum) for each in migrations]


def test_nothing_applied_needs_everything_in_order() -> None:
    assert pending(KNOWN, []) == KNOWN


def test_what_is_applied_is_not_needed() -> None:
    assert pending(KNOWN, applied(ONE, TWO)) == (THREE,)
    assert pending(KNOWN, applied(*KNOWN)) == ()


def test_a_file_that_another_branch_brought_later_is_still_applied() -> None:
    assert pending(KNOWN, applied(ONE, THREE)) == (TWO,)


def test_a_changed_file_is_refused_by_name() -> None:
    with pytest.raises(SchemaChanged, match=r"sql/0002_b\.up\.sql"):
        pending(KNOWN, [*applied(ONE), Applied("0002_b", "another")])


def test_a_migration_of_the_future_is_refused_by_name() -> None:
    with pytest.raises(SchemaChanged, match="0009_z"):
        pending(KNOWN, [*applied(*KNOWN), Applied("0009_z", "x")])


def test_only_what_goes_up_is_remembered() -> None:
    assert ONE.checksum == Migration("0001_a", "up 1", "mended").checksum
    assert ONE.checksum != Migration("0001_a", "up one", "down 1").checksum


def test_files_are_read_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0010_later", "0002_sooner"):
        (tmp_path / f"{name}.up.sql").write_text(f"-- {name}")
        (tmp_path / f"{name}.down.sql").write_text("-- back")
    (tmp_path / "README.md").touch()
    (tmp_path / "roles.sql").touch()
    assert [each.name for each in load(tmp_path)] == ["0002_sooner", "0010_later"]


def test_a_way_up_without_a_way_down_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "0001_one.up.sql").touch()
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


def test_the_shipped_migrations_are_numbered_without_holes() -> None:
    assert [int(each.name[:4]) for each in load()] == list(range(1, len(load()) + 1))
    assert "CREATE ROLE" in roles()


def test_missing_pairs_keep_their_order() -> None:
    assert missing_pairs(["c", "a", "b"], {"a"}) == ("c", "b")
