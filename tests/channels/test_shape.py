"""An update knows its fields once somebody asks; a shape is how a subscriber wants a channel."""

from channels.broker import Publication
from channels.shape import Shape, Update
from tests.channels.transports import LineDialect


class TestUpdate:
    def test_reads_its_payload_once_and_only_when_asked(self) -> None:
        update = Update(Publication("market:NSE:A", b'{"price":1.5}', 7), 9)
        assert (update.number, update.payload) == (9, b'{"price":1.5}')
        assert update.fields == {"price": 1.5}
        assert update.fields is update.fields

    def test_is_written_without_being_read(self) -> None:
        update = Update(Publication("market:NSE:A", b"not JSON"), 1)
        assert update.payload == b"not JSON"

    def test_is_told_from_another_of_the_same_content(self) -> None:
        publication = Publication("market:NSE:A", b"{}", 1)
        assert Update(publication, 1) != Update(publication, 1)


class TestShape:
    def test_those_who_want_the_same_have_the_same_shape(self) -> None:
        dialect = LineDialect()
        assert Shape(dialect) == Shape(dialect, "full", delta=False, max_frequency=None)
        assert hash(Shape(dialect, "ltp", delta=True)) == hash(Shape(dialect, "ltp", delta=True))

    def test_any_difference_makes_another_shape(self) -> None:
        dialect = LineDialect()
        shapes = {
            Shape(dialect),
            Shape(LineDialect()),
            Shape(dialect, "ltp"),
            Shape(dialect, "quote"),
            Shape(dialect, delta=True),
            Shape(dialect, max_frequency=1.0),
            Shape(dialect, max_frequency=2.0),
        }
        assert len(shapes) == 7
