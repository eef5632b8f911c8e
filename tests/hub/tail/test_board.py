from typing import Any

from hub.tail.board import FLASH_S, Board


def price(value: float, seq: int, **fields: Any) -> dict[str, Any]:
    return {"type": "market:update", "channel": "market:NSE:TCS", "price": value, "seq": seq} | fields


def test_a_row_flashes_for_a_moment_in_the_direction_of_its_price() -> None:
    board = Board()
    board.take(price(100, 1), 0, 0)
    row = board.rows["market:NSE:TCS"]
    assert (row.name, row.flashes(0)) == ("NSE:TCS", 0)
    board.take(price(101, 2), 1, 0)
    assert (row.price, row.flashes(1), row.flashes(1 + FLASH_S)) == (101, 1, 0)
    board.take(price(99, 3), 2, 0)
    assert row.flashes(2) == -1
    board.take(price(99, 4), 3, 0)
    assert row.flashes(3) == 0


def test_updates_and_misses_are_counted() -> None:
    board = Board()
    for number in range(6):
        board.take(price(100, number, missed=2), number * 0.1, 0)
    assert (board.rate(0.5), board.missed) == (2.0, 12)
    assert board.rate(100) == 0


def test_messages_of_logs_are_lines_and_other_newest_values_are_texts() -> None:
    board = Board()
    signal = {"type": "signals:new", "channel": "signals:generated", "offset": 1, "data": {"x": 1}}
    board.take(signal, 0, 0)
    board.take({"type": "status:update", "channel": "status:market", "seq": 1, "data": {"NSE": "live"}}, 0, 0)
    assert [line[1:] for line in board.lines] == [("signals:generated", '{"x":1}')]
    assert board.rows["status:market"].text == "NSE live"
