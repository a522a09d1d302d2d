"""The page as it is served."""

from priceverse.api.page import assets


def test_the_index_is_the_root_and_code_is_not_served():
    found = assets()
    assert found["/"].headers["Content-Type"] == "text/html; charset=utf-8"
    assert not [path for path in found if path.endswith(".py")]


def test_every_file_may_load_nothing_from_elsewhere():
    for asset in assets().values():
        assert asset.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert asset.headers["ETag"] == f'"{asset.etag}"'
