"""What losses are measured from: the day's first equity and the peak, deposits taken out."""

from datetime import timedelta
from decimal import Decimal

from shared.domain.performance import EquityMarks, EquityPoint, Standing
from tests.builders import TICK


def a_point(equity: str, deposited: str = "1000", days: int = 0) -> EquityPoint:
    return EquityPoint(
        at=TICK + timedelta(days=days), wallet=Decimal(equity), unrealized=Decimal(0), deposited=Decimal(deposited)
    )


def a_standing(last: EquityPoint, first: EquityPoint, peak: str) -> Standing:
    return Standing(last=last, first=first, peak=Decimal(peak), exposure=Decimal(0))


def test_an_account_seen_for_the_first_time_is_measured_against_itself() -> None:
    assert EquityMarks.of(Decimal(900), None) == EquityMarks(
        day=Decimal(900), peak=Decimal(900), deposited=Decimal(900)
    )


def test_a_deposit_neither_hides_a_loss_nor_makes_a_gain() -> None:
    stands = a_standing(a_point("1450", deposited="1500"), a_point("1000", deposited="1000"), peak="20")
    marks = EquityMarks.of(Decimal(1450), stands)

    # Worth 1000 at midnight, 500 were paid in, 50 are lost; the peak was 20 above what was paid in.
    assert marks == EquityMarks(day=Decimal(1500), peak=Decimal(1520), deposited=Decimal(1500))


def test_a_withdrawal_is_no_loss() -> None:
    stands = a_standing(a_point("600", deposited="600"), a_point("1000", deposited="1000"), peak="0")
    marks = EquityMarks.of(Decimal(600), stands)

    assert (marks.day, marks.peak) == (Decimal(600), Decimal(600))


def test_the_peak_is_never_below_what_the_account_is_worth_now() -> None:
    assert EquityMarks.of(Decimal(1300), a_standing(a_point("1200"), a_point("1000"), peak="200")).peak == 1300
