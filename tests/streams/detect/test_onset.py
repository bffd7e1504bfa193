from benchmarks.detection_cases import CAR_LOAN_CHANGE, car_loan, new_watch

BEFORE, AFTER, PLACES = 3_000, 2_000, 20
CHANGED = ("salary_range", "loan_length", "repaid_loan_on_prev_car")


def test_the_onset_of_a_change_of_real_rows_is_where_they_were_joined() -> None:
    series = car_loan("car_loan")
    delays, lengths = [], []
    for name in ("score", *(f"feature/{each}" for each in CHANGED)):
        for place in range(PLACES):
            old = series[name][CAR_LOAN_CHANGE - BEFORE - 2_500 * place :][:BEFORE]
            new = series[name][CAR_LOAN_CHANGE + 700 * place :][:AFTER]
            watch = new_watch("score" if name == "score" else "feature", 0.0129)
            change = watch.update(old + new)[0]
            delays.append(change.index - BEFORE + 1)
            lengths.append(change.figures.rows)

    right = [
        abs(length - delay) <= max(50, delay / 2)
        for length, delay in zip(lengths, delays, strict=True)
    ]
    assert sum(right) >= 0.95 * len(right)
