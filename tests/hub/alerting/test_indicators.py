"""Conditions read indicators out of the catalogue of feeds."""

import pytest

from feeds.indicators.catalogue import CATALOGUE
from hub.alerting.indicators import CatalogueReader
from notifiers.conditions.dimensions import Dimension
from schemas.errors import CommandError


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_indicator_is_known_with_its_lines(name: str) -> None:
    known = CatalogueReader()(name.upper())
    assert known.text == name
    assert tuple(known.gives) == (CATALOGUE[name].outputs or ("",))


def test_what_it_measures_is_told() -> None:
    read = CatalogueReader()
    assert read("sma(Volume, 20)").gives == {"": Dimension.QUANTITY}
    assert read("sma(Volume, 20)").text == "sma(volume,20)"
    assert read("supertrend").gives == {"value": Dimension.PRICE, "trend": Dimension.NUMBER}


def test_what_is_none_is_refused() -> None:
    assert "oracle" not in CatalogueReader().names
    with pytest.raises(CommandError, match="No indicator is called 'oracle'"):
        CatalogueReader()("oracle")
