"""The key directory: made once, read strictly, rotated while the server runs."""

import json
import os
from pathlib import Path

import pytest

from tallystick.security import key_dir, keys
from tallystick.security.encoding import base64url_encode
from tallystick.security.errors import KeyDirRefused
from tallystick.security.key_dir import KeyDir, create_key_dir, load_key_dir

NOW_S = 1_800_000_000
DAY_S = 86_400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    create_key_dir(made, now_s=NOW_S)
    return made


def load(path: Path, at_s: int = 0) -> KeyDir:
    return load_key_dir(path, now_s=NOW_S + at_s)


def write_secret(file: Path, secret: bytes) -> None:
    file.write_text(base64url_encode(secret))


def edit(path: Path, **changes: object) -> None:
    file = path / "keys.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def derived_keys(loaded: KeyDir) -> list[bytes]:
    """Return every secret of 32 bytes that follows from the hashing key; those of tills for some of their owners."""
    return [
        loaded.blind_index_key,
        loaded.enrolment_key,
        loaded.log_key,
        loaded.pin_key,
        loaded.tag_key,
        loaded.scan_key("shop"),
        loaded.scan_key("other"),
        loaded.store_key("shop", "s1"),
    ]


def test_a_new_directory_is_for_its_owners_eyes_only(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o700
    modes = {file.name.split("-")[0]: file.stat().st_mode & 0o777 for file in path.iterdir()}
    assert modes == {"keys.json": 0o600, "signing": 0o600, "hashing.key": 0o600, "sealing": 0o600}


def test_files_stay_private_under_a_careless_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_key_dir(tmp_path / "keys", now_s=NOW_S)
    finally:
        os.umask(before)
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "keys").iterdir())


def test_loading_gives_the_same_keys_every_time(path: Path) -> None:
    first, second = load(path), load(path)
    assert first.signing.signing_key(NOW_S).kid == second.signing.signing_key(NOW_S).kid
    assert derived_keys(first) == derived_keys(second)
    assert first.box.kid == second.box.kid
    assert first.masters(NOW_S) == second.masters(NOW_S)


def test_all_keys_of_a_directory_and_of_two_directories_differ(path: Path, tmp_path: Path) -> None:
    loaded = [load(path), create_key_dir(tmp_path / "other", now_s=NOW_S)]
    secrets = [secret for one in loaded for secret in (*derived_keys(one), one.sealing[0].secret)]
    assert len(set(secrets)) == 18
    assert {len(secret) for secret in secrets} == {32}


def test_the_keys_of_one_store_are_no_other_stores(path: Path) -> None:
    loaded = load(path)
    owners = [("shop", "s1"), ("shop", "s2"), ("other", "s1"), ("shops", "1")]
    assert len({loaded.store_key(program_id, store_id) for program_id, store_id in owners}) == 4
    assert loaded.scan_key("shop") != loaded.store_key("shop", "")


def test_existing_keys_are_never_overwritten(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(KeyDirRefused, match="never overwritten"):
        create_key_dir(path, now_s=NOW_S)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_an_empty_directory_is_made_private_first(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_key_dir(tmp_path, now_s=NOW_S)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_pipe_in_place_of_a_key_file_is_refused_at_once(path: Path) -> None:
    (path / "hashing.key").unlink()
    os.mkfifo(path / "hashing.key", 0o600)
    with pytest.raises(KeyDirRefused, match="is not a file"):
        load(path)


def test_a_file_larger_than_any_key_is_not_read_through(path: Path) -> None:
    (path / "hashing.key").write_bytes(b"A" * 1_000_000)
    with pytest.raises(KeyDirRefused, match="larger than any key file"):
        load(path)


def test_a_directory_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyDirRefused, match="cannot be written"):
        create_key_dir(tmp_path / "file" / "keys", now_s=NOW_S)


def test_secrets_are_absent_from_the_repr(path: Path) -> None:
    loaded = load(path)
    text = repr(loaded) + repr(loaded.masters(NOW_S))
    for secret in (*derived_keys(loaded), loaded.sealing[0].secret):
        assert repr(secret) not in text


def test_a_missing_directory_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(KeyDirRefused, match="tallystick keys create"):
        load(tmp_path / "nowhere")


def test_a_half_made_directory_is_recognised(path: Path) -> None:
    (path / "keys.json").unlink()
    with pytest.raises(KeyDirRefused, match="not fully made"):
        load(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
@pytest.mark.parametrize("name", ["keys.json", "hashing.key", "sealing-1.key", "signing"])
def test_a_file_that_others_can_read_is_refused_with_the_mend(path: Path, name: str, mode: int) -> None:
    file = next(file for file in path.iterdir() if file.name.startswith(name))
    file.chmod(mode)
    with pytest.raises(KeyDirRefused, match=f"chmod 600 {file}"):
        load(path)


def test_a_directory_that_others_can_enter_is_refused_with_the_mend(path: Path) -> None:
    path.chmod(0o755)
    with pytest.raises(KeyDirRefused, match="chmod 700"):
        load(path)


def test_a_file_in_place_of_the_directory_is_refused(path: Path) -> None:
    with pytest.raises(KeyDirRefused, match="not a directory"):
        load(path / "hashing.key")


@pytest.mark.parametrize("name", ["hashing.key", "sealing-1.key"])
@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b"secret",
        b"k" * 31,
        pytest.param(os.urandom(16), id="16 random bytes"),
        pytest.param(os.urandom(31), id="31 random bytes"),
        pytest.param(os.urandom(33), id="33 random bytes"),
        bytes(32),
        b"\xff" * 32,
        b"changemechangemechangemechangeme",
        b"0123456789abcdef0123456789abcdef",
        b"correct horse battery staple 123",
        bytes(range(0x20, 0x40)),
        bytes(range(8)) * 4,
    ],
)
def test_a_short_default_or_typed_secret_is_refused(path: Path, name: str, secret: bytes) -> None:
    write_secret(path / name, secret)
    with pytest.raises(KeyDirRefused, match="32 random bytes"):
        load(path)


@pytest.mark.parametrize("text", ["changeme", "secret!", "0" * 64, "é", "A" * 20_000])
def test_text_that_is_no_secret_is_refused_and_not_repeated(path: Path, text: str) -> None:
    (path / "hashing.key").write_text(text)
    with pytest.raises(KeyDirRefused) as refused:
        load(path)
    assert text not in str(refused.value)


def test_one_secret_in_two_places_is_refused(path: Path) -> None:
    (path / "sealing-1.key").write_bytes((path / "hashing.key").read_bytes())
    with pytest.raises(KeyDirRefused, match="are the same"):
        load(path)


@pytest.mark.parametrize("name", ["hashing.key", "sealing-1.key", "signing"])
def test_a_missing_key_file_asks_for_the_backup(path: Path, name: str) -> None:
    next(file for file in path.iterdir() if file.name.startswith(name)).unlink()
    with pytest.raises(KeyDirRefused, match="restore it from the backup"):
        load(path)


def test_a_signing_key_under_another_name_is_refused(path: Path) -> None:
    file = next(path.glob("signing-*.pem"))
    file.write_bytes(keys.signing_key_to_pem(keys.generate_signing_key()))
    with pytest.raises(KeyDirRefused, match="another key than its name"):
        load(path)


def test_a_signing_file_without_a_key_is_refused(path: Path) -> None:
    next(path.glob("signing-*.pem")).write_text("no key")
    with pytest.raises(KeyDirRefused, match="no readable"):
        load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"signing": []},
        {"sealing": []},
        {"signing": [{"kid": "../../etc/passwd", "activates_at_s": 0, "retires_at_s": 0}]},
        {"signing": [{"kid": "../" + "A" * 40, "activates_at_s": 0, "retires_at_s": 0}]},
        {"signing": [{"kid": "A" * 43, "activates_at_s": "0", "retires_at_s": 0}]},
        {"signing": [{"kid": "A" * 43, "activates_at_s": -1, "retires_at_s": 0}]},
        {"signing": [{"kid": "A" * 43}]},
        {"signing": "all"},
        {"sealing": [{"version": 0, "activates_at_s": 0}]},
        {"sealing": [{"version": 256, "activates_at_s": 0}]},
        {"sealing": [{"version": True, "activates_at_s": 0}]},
        {"sealing": [{"version": 1, "activates_at_s": 5}, {"version": 2, "activates_at_s": 4}]},
        {"sealing": [{"version": 1, "activates_at_s": 5}, {"version": 1, "activates_at_s": 5}]},
    ],
)
def test_a_damaged_list_of_keys_is_refused(path: Path, changes: dict[str, object]) -> None:
    edit(path, **changes)
    with pytest.raises(KeyDirRefused, match=r"keys\.json is damaged"):
        load(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 10_000, "\x00"])
def test_a_list_of_keys_that_is_not_json_is_refused(path: Path, text: str) -> None:
    (path / "keys.json").write_text(text)
    with pytest.raises(KeyDirRefused, match="damaged"):
        load(path)


def test_a_clock_before_the_first_key_is_refused(path: Path) -> None:
    with pytest.raises(KeyDirRefused, match="clock"):
        load(path, -1)


def test_a_new_signing_key_is_known_to_all_before_anyone_signs_with_it(path: Path) -> None:
    old = load(path).signing.signing_key(NOW_S).kid
    new = key_dir.rotate_signing_key(path, now_s=NOW_S + 100, lead_s=600)
    ring = load(path, 101).signing
    assert set(ring.verify_keys(NOW_S + 101)) == {old, new}
    assert ring.signing_key(NOW_S + 699).kid == old
    assert ring.signing_key(NOW_S + 700).kid == new


def test_a_retired_signing_key_goes_on_verifying_until_nothing_of_it_can_be_valid(path: Path) -> None:
    old = load(path).signing.signing_key(NOW_S).kid
    new = key_dir.rotate_signing_key(path, now_s=NOW_S, lead_s=600)
    retires_at_s = NOW_S + 600 + key_dir.VERIFY_FOR_S
    ring = load(path).signing
    assert set(ring.verify_keys(retires_at_s - 1)) == {old, new}
    assert set(ring.verify_keys(retires_at_s)) == {new}


def test_a_process_that_has_not_read_the_directory_again_still_verifies_with_the_lead(path: Path) -> None:
    stale = load(path).signing
    key_dir.rotate_signing_key(path, now_s=NOW_S)
    fresh = load(path).signing
    just_reloaded_s = NOW_S + key_dir.RELOAD_EVERY_S
    assert fresh.signing_key(just_reloaded_s).kid in stale.verify_keys(just_reloaded_s)


def test_rotation_deletes_what_has_retired_and_nothing_else(path: Path) -> None:
    first = load(path).signing.signing_key(NOW_S).kid
    second = key_dir.rotate_signing_key(path, now_s=NOW_S)
    third = key_dir.rotate_signing_key(path, now_s=NOW_S + 30 * DAY_S)
    assert {file.name for file in path.glob("signing-*")} == {f"signing-{second}.pem", f"signing-{third}.pem"}
    assert first not in load(path, 30 * DAY_S).signing.verify_keys(NOW_S)


def test_a_second_rotation_does_not_prolong_a_key_that_is_retiring(path: Path) -> None:
    first = load(path).signing.signing_key(NOW_S).kid
    key_dir.rotate_signing_key(path, now_s=NOW_S, lead_s=600)
    key_dir.rotate_signing_key(path, now_s=NOW_S + DAY_S, lead_s=600)
    assert first not in load(path).signing.verify_keys(NOW_S + 600 + key_dir.VERIFY_FOR_S)


def test_the_number_of_signing_keys_that_count_is_bounded(path: Path) -> None:
    for number in range(key_dir.SIGNING_KEYS_MAX - 1):
        key_dir.rotate_signing_key(path, now_s=NOW_S + number, lead_s=1)
    with pytest.raises(KeyDirRefused, match="still count"):
        key_dir.rotate_signing_key(path, now_s=NOW_S + 100, lead_s=1)


def test_a_key_that_would_begin_before_the_waiting_one_is_refused(path: Path) -> None:
    key_dir.rotate_signing_key(path, now_s=NOW_S, lead_s=600)
    key_dir.rotate_sealing_key(path, now_s=NOW_S, lead_s=600)
    with pytest.raises(KeyDirRefused, match="waiting to begin"):
        key_dir.rotate_signing_key(path, now_s=NOW_S, lead_s=10)
    with pytest.raises(KeyDirRefused, match="waiting to begin"):
        key_dir.rotate_sealing_key(path, now_s=NOW_S, lead_s=10)


def test_a_new_sealing_key_begins_later_and_the_old_one_still_opens(path: Path) -> None:
    assert key_dir.rotate_sealing_key(path, now_s=NOW_S, lead_s=600) == 2
    loaded = load(path)
    assert loaded.masters(NOW_S + 599).current_version == 1
    assert loaded.masters(NOW_S + 600).current_version == 2
    assert set(loaded.masters(NOW_S).by_version) == {1, 2}


def test_the_versions_of_sealing_keys_end_at_255(path: Path) -> None:
    (path / "sealing-1.key").rename(path / "sealing-255.key")
    edit(path, sealing=[{"version": 255, "activates_at_s": NOW_S}])
    with pytest.raises(KeyDirRefused, match="255"):
        key_dir.rotate_sealing_key(path, now_s=NOW_S)


def test_two_rotations_at_once_do_not_mix(path: Path) -> None:
    with key_dir._locked(path), pytest.raises(KeyDirRefused, match="another process"):
        key_dir.rotate_signing_key(path, now_s=NOW_S)


def test_a_rotation_cut_off_before_its_last_step_leaves_the_old_keys_valid(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise OSError(28, "No space left on device")

    old = load(path).signing.signing_key(NOW_S).kid
    with monkeypatch.context() as patched:
        patched.setattr(key_dir, "_write_manifest", cut)
        with pytest.raises(KeyDirRefused, match="No space left"):
            key_dir.rotate_signing_key(path, now_s=NOW_S)
        with pytest.raises(KeyDirRefused, match="No space left"):
            key_dir.rotate_sealing_key(path, now_s=NOW_S)
    assert load(path).signing.signing_key(NOW_S + 10_000).kid == old
    key_dir.rotate_signing_key(path, now_s=NOW_S)
    # Version 2 is on disk and unlisted: nothing tells whether data was sealed under it, so it is passed over.
    assert key_dir.rotate_sealing_key(path, now_s=NOW_S) == 3
    assert (path / "sealing-2.key").exists()
