"""A token id counts once."""

from tallystick.security.replay import ReplayGuard, Use

NOW_S = 1_800_000_000


def use(guard: ReplayGuard, owner_id: str, token_id: str, *, at_s: int = 0, ttl_s: int = 90) -> Use:
    return guard.use(owner_id, token_id, usable_until_s=NOW_S + at_s + ttl_s, now_s=NOW_S + at_s)


def test_the_second_use_of_an_assertion_is_a_replay() -> None:
    guard = ReplayGuard()
    assert use(guard, "till-1", "a") is Use.FIRST
    assert use(guard, "till-1", "a") is Use.REPLAYED
    assert guard.use("till-1", "a", usable_until_s=NOW_S + 90, now_s=NOW_S + 89) is Use.REPLAYED


def test_two_devices_may_happen_on_the_same_id() -> None:
    guard = ReplayGuard()
    assert use(guard, "till-1", "a") is Use.FIRST
    assert use(guard, "till-2", "a") is Use.FIRST


def test_an_id_is_forgotten_when_its_token_is_no_longer_accepted() -> None:
    guard = ReplayGuard()
    use(guard, "till-1", "a")
    assert use(guard, "till-2", "b", at_s=90) is Use.FIRST
    assert len(guard) == 1


def test_a_full_guard_refuses_and_forgets_nothing_that_still_counts() -> None:
    guard = ReplayGuard(entries_max=2, owner_entries_max=2)
    use(guard, "till-1", "a")
    use(guard, "till-2", "b")
    assert use(guard, "till-3", "c") is Use.FULL
    assert use(guard, "till-1", "a") is Use.REPLAYED
    assert use(guard, "till-3", "c", at_s=90) is Use.FIRST


def test_one_device_cannot_fill_the_guard_for_the_others() -> None:
    guard = ReplayGuard(entries_max=10, owner_entries_max=3)
    assert [use(guard, "till-1", str(n)) for n in range(5)] == [Use.FIRST] * 3 + [Use.FULL] * 2
    assert use(guard, "till-2", "a") is Use.FIRST


def test_a_device_gets_its_room_back_as_its_ids_expire() -> None:
    guard = ReplayGuard(entries_max=10, owner_entries_max=2)
    use(guard, "till-1", "a", ttl_s=10)
    use(guard, "till-1", "b", ttl_s=50)
    assert use(guard, "till-1", "c", at_s=9) is Use.FULL
    assert use(guard, "till-1", "c", at_s=10) is Use.FIRST
    assert use(guard, "till-1", "d", at_s=11) is Use.FULL
    assert len(guard) == 2


def test_ids_expire_in_the_order_of_their_times_not_of_their_arrival() -> None:
    guard = ReplayGuard()
    use(guard, "till-1", "long", ttl_s=90)
    use(guard, "till-1", "short", ttl_s=5)
    assert use(guard, "till-1", "short", at_s=5) is Use.FIRST
    assert use(guard, "till-1", "long", at_s=5) is Use.REPLAYED
