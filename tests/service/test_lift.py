"""Lift: the interval covers the truth as often as it says, and the finding follows from the interval."""

from __future__ import annotations

from random import Random

import pytest

from tallystick.service.lift import LiftFinding, Sample, in_words, lift_of

EXPERIMENTS = 1_000


def sample(*minor: int) -> Sample:
    made = Sample()
    for one in minor:
        made.add(one)
    return made


def spent(random: Random, buys: float, mean: int) -> int:
    """What a member spends: most buy nothing, and a few buy for a lot."""
    return int(random.expovariate(1 / mean)) if random.random() < buys else 0


@pytest.mark.parametrize(
    ("first", "second"),
    [((400, 0.3, 5_000), (400, 0.3, 5_000)), ((600, 0.4, 6_000), (150, 0.3, 5_000))],
    ids=["no effect, equal groups", "an effect, a small holdout"],
)
def test_the_interval_covers_the_truth_in_about_95_of_100_experiments(
    first: tuple[int, float, int], second: tuple[int, float, int]
) -> None:
    random = Random(20_260_601)
    truth = first[1] * first[2] - second[1] * second[2]
    covered = 0
    for _ in range(EXPERIMENTS):
        groups = [
            sample(*(spent(random, buys, mean) for _ in range(members)))
            for members, buys, mean in (first, second)
        ]
        lift = lift_of(*groups)
        assert lift is not None
        covered += lift.low_minor <= truth <= lift.high_minor
    # 4 standard errors of 0.95 over a thousand experiments are 2.8 of 100.
    assert 922 <= covered <= 978


def test_an_effect_that_is_there_is_found_and_one_that_is_not_is_not_claimed() -> None:
    random = Random(7)
    plain = [sample(*(spent(random, 0.3, 5_000) for _ in range(2_000))) for _ in range(40)]
    better = sample(*(spent(random, 0.4, 6_000) for _ in range(2_000)))
    found = [lift_of(better, one) for one in plain]
    assert all(one is not None and one.finding is LiftFinding.BETTER for one in found)
    back = lift_of(plain[0], better)
    assert back is not None
    assert back.finding is LiftFinding.WORSE
    claimed = [lift_of(first, second) for first, second in zip(plain[::2], plain[1::2], strict=True)]
    assert sum(one is not None and one.finding is not LiftFinding.OPEN for one in claimed) <= 3


@pytest.mark.parametrize("held_out", [5, 20, 100, 200])
def test_a_small_holdout_that_misses_those_who_buy_most_claims_nothing(held_out: int) -> None:
    """Shops where a few buy for other shops: most of all that is sold goes to one member of a hundred."""
    random = Random(11)
    everybody = [spent(random, 0.4, 5_000) for _ in range(3_960)]
    everybody += [int(200_000 * random.paretovariate(2.5)) for _ in range(40)]
    every = sample(*everybody)
    claimed = 0
    for _ in range(EXPERIMENTS):
        out = sample(*random.sample(everybody, held_out))
        reached = Sample(every.members - out.members, every.total - out.total, every.squares - out.squares)
        lift = lift_of(reached, out)
        assert lift is not None
        claimed += lift.finding is not LiftFinding.OPEN
    # Offers bring nothing here: 5 of 100, and 4 standard errors of that over a thousand experiments.
    assert claimed <= 78


def test_welch_gives_what_the_textbook_gives() -> None:
    """Degrees of freedom 6.99, Student's quantile 2.365 (tables), worked out by hand from the definitions."""
    first = sample(10, 20, 30, 40, 50)
    second = sample(12, 14, 16, 18, 20)
    lift = lift_of(
        sample(*(1_000 * x for x in (10, 20, 30, 40, 50))), sample(*(1_000 * x for x in (12, 14, 16, 18, 20)))
    )
    assert (first.variance, second.variance) == (250, 10)
    assert lift is not None
    assert lift.difference_minor == 14_000
    # Degrees of freedom (50 + 2)^2 / (50^2 / 4 + 2^2 / 4) = 4.319; Student's quantile there is 2.697.
    assert abs((lift.high_minor - lift.low_minor) / 2 - 2.697 * 52**0.5 * 1_000) < 60
    assert lift.finding is LiftFinding.OPEN


def test_members_that_are_missing_would_make_the_interval_narrow_enough() -> None:
    random = Random(3)
    groups = [[spent(random, 0.3, mean) for _ in range(300)] for mean in (5_600, 5_000)]
    lift = lift_of(sample(*groups[0]), sample(*groups[1]))
    assert lift is not None
    assert lift.finding is LiftFinding.OPEN
    times = -(-(600 + lift.members_missing) // 600)
    more = lift_of(sample(*groups[0] * times), sample(*groups[1] * times))
    assert more is not None
    assert more.finding is not LiftFinding.OPEN


def test_too_few_members_say_nothing() -> None:
    assert lift_of(sample(1), sample(1, 2, 3)) is None
    assert in_words(None) == "too few members to say"


def test_groups_that_spent_the_same_show_no_difference() -> None:
    lift = lift_of(sample(5, 5, 5), sample(5, 5))
    assert lift is not None
    assert (lift.low_minor, lift.high_minor, lift.finding, lift.members_missing) == (
        0,
        0,
        LiftFinding.OPEN,
        0,
    )
    assert in_words(lift) == "not yet known"


def test_a_finding_is_said_in_words() -> None:
    random = Random(3)
    lift = lift_of(
        sample(*(spent(random, 0.3, 5_600) for _ in range(300))),
        sample(*(spent(random, 0.3, 5_000) for _ in range(300))),
    )
    assert lift is not None
    assert in_words(lift).startswith("not yet known: a difference of this size would take about ")
    assert in_words(lift_of(sample(9, 8, 9), sample(1, 2, 1))) == "better"
    assert in_words(lift_of(sample(1, 2, 1), sample(9, 8, 9))) == "worse"
