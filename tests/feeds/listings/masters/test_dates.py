from datetime import date

import pytest

from feeds.listings.masters.dates import epoch_date, iso_date, worded_date
from feeds.listings.masters.row import BadRow


def test_each_way_to_write_a_day_is_read() -> None:
    day = date(2026, 12, 29)
    assert iso_date("2026-12-29") == iso_date("2026-12-29 14:30:00") == day
    assert worded_date("29DEC2026") == worded_date("29-DEC-2026") == worded_date("29Dec2026") == day
    assert epoch_date("1798538400") == epoch_date("1798538400000", per_second=1000) == day


def test_a_moment_belongs_to_the_day_in_india() -> None:
    assert epoch_date("1798482599") == date(2026, 12, 28)  # 23:59:59 there, 18:29:59 UTC
    assert epoch_date("1798482600") == date(2026, 12, 29)


@pytest.mark.parametrize(
    "text", ["", "0", "soon", "31FEB2026", "29XXX2026", "99999999999999999999", "nan", "inf", "2026"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    for read in (iso_date, worded_date):
        with pytest.raises(BadRow, match="no expiry"):
            read(text)
    if not text.isdigit() or len(text) > 12:
        with pytest.raises(BadRow, match="no expiry"):
            epoch_date(text)
