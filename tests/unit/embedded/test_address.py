"""Where a private server can listen."""

from pathlib import Path

from priceverse.embedded import address


def test_a_socket_path_is_measured_in_bytes() -> None:
    assert address.fits(Path("/" + "x" * 99))
    assert not address.fits(Path("/" + "x" * 100))
    assert not address.fits(Path("/" + "я" * 60))


def test_a_password_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "password"
    address.choose_password(file)
    first = address.password(file)
    address.choose_password(file)
    assert address.password(file) == first
    assert len(first) >= 32
    assert first.replace("-", "").replace("_", "").isalnum()
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_a_kept_port_there_is_none(tmp_path: Path) -> None:
    assert address.port(tmp_path / "port") == 0
