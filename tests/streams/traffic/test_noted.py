from streams.traffic.noted import FEWEST, QUIET_ROWS, NotedEvents


def test_it_is_told_once_and_not_of_a_few_predictions_by_hand() -> None:
    unread = NotedEvents()

    told = [unread.on_hit(row) for row in range(1, FEWEST + 10)]

    assert told.index(True) == FEWEST - 1
    assert told.count(True) == 1
    assert unread.is_told


def test_every_such_prediction_puts_off_its_end() -> None:
    unread = NotedEvents()
    unread.on_hit(5)
    unread.on_hit(400)

    assert unread.due_row == 400 + QUIET_ROWS
    assert not unread.is_told
