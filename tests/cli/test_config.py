"""Settings: one name everywhere, the nearest source wins, nothing unknown is taken."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tallystick.config.settings import Settings, SettingsRefused, describe, split_address
from tallystick.config.sources import load

ROOT = Path(__file__).parents[2]


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "tallystick.toml"
    file.write_text(text)
    return file


def test_without_anything_the_data_lie_where_the_desktop_keeps_those_of_programs(tmp_path: Path) -> None:
    settings = load(environ={"XDG_DATA_HOME": str(tmp_path)})
    assert settings.data_dir == str(tmp_path / "tallystick")
    assert settings.database_url == f"sqlite:///{tmp_path / 'tallystick' / 'tallystick.db'}"
    assert settings.key_dir == str(tmp_path / "tallystick" / "keys")


def test_the_command_line_beats_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'issuer = "file"\nlisten = "127.0.0.1:1"\nregion = "SE"\n')
    settings = load(
        file=file,
        environ={"TALLYSTICK_ISSUER": "environment", "TALLYSTICK_LISTEN": "127.0.0.1:2"},
        overrides={"listen": "127.0.0.1:3", "issuer": None},
    )
    assert (settings.listen, settings.issuer, settings.region) == ("127.0.0.1:3", "environment", "SE")


def test_the_file_can_be_named_in_the_environment(tmp_path: Path) -> None:
    file = write(
        tmp_path, 'cors_origins = ["https://card.example.org"]\nreflection = true\ndrain_wait_s = 1\n'
    )
    settings = load(environ={"TALLYSTICK_CONFIG": str(file)})
    assert settings.cors_origins == ("https://card.example.org",)
    assert settings.reflection is True
    assert settings.drain_wait_s == 1.0


def test_a_mistyped_name_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"databse_url.*did you mean database_url"):
        load(file=write(tmp_path, 'databse_url = "sqlite:///x.db"\n'), environ={})
    with pytest.raises(
        SettingsRefused, match=r"TALLYSTICK_DATABSE_URL.*did you mean TALLYSTICK_DATABASE_URL"
    ):
        load(environ={"TALLYSTICK_DATABSE_URL": "sqlite:///x.db"})


def test_variables_of_tests_and_deployment_are_no_settings() -> None:
    environ = {
        "TALLYSTICK_TEST_DATABASE_URL": "x",
        "TALLYSTICK_OWNER_PASSWORD": "x",
        "TALLYSTICK_PROFILE": "till",
    }
    assert load(environ=environ) == load(environ={})


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TALLYSTICK_WORKERS": "many"}, "must be whole number, not 'many'"),
        ({"TALLYSTICK_WORKERS": "0"}, "workers is 0; it must be 1 to 64"),
        ({"TALLYSTICK_WORKERS": "2"}, "workers above 1 need PostgreSQL"),
        ({"TALLYSTICK_LISTEN": "50051"}, "listen is '50051'; write HOST:PORT"),
        ({"TALLYSTICK_HTTP_LISTEN": "localhost:99999"}, "http_listen is 'localhost:99999'"),
        ({"TALLYSTICK_TLS_CERT": "cert.pem"}, "tls_cert and tls_key belong together"),
        ({"TALLYSTICK_TLS_CLIENT_CA": "ca.pem"}, "mTLS is TLS first"),
        ({"TALLYSTICK_REFLECTION": "perhaps"}, "must be yes or no"),
        ({"TALLYSTICK_LOG_FORMAT": "xml"}, "must be one of json, text"),
        ({"TALLYSTICK_REGION": "gb"}, "write two capital letters"),
        (
            {"TALLYSTICK_APPLE_TEAM": "ABCDE12345"},
            "apple_pass_type, apple_cert, apple_key, apple_authority must be",
        ),
        ({"TALLYSTICK_PUBLIC_URL": "http://points.example.org"}, "write https:// and a name"),
        ({"TALLYSTICK_PUBLIC_URL": "https://points.example.org/a"}, "nothing may follow the name"),
        ({"TALLYSTICK_GOOGLE_ISSUER_ID": "33"}, "google_issuer_id and google_account belong together"),
        (
            {"TALLYSTICK_GOOGLE_ISSUER_ID": "33", "TALLYSTICK_GOOGLE_ACCOUNT": "a.json"},
            "google_issuer_id must be digits, and needs public_url",
        ),
        ({"TALLYSTICK_ORGANIZATION": ""}, "organization is empty"),
        ({"TALLYSTICK_PROXIES": "10.0.0.0/24, balancer"}, "proxies has 'balancer'; write an address"),
        ({"TALLYSTICK_PROXIES": "*"}, "proxies has '\\*'; write an address"),
        ({"TALLYSTICK_SMTP_TLS": "ssl"}, "must be one of starttls, tls, none"),
        ({"TALLYSTICK_SMTP_PORT": "0"}, "smtp_port is 0; it must be 1 to 65535"),
        ({"TALLYSTICK_SMTP_HOST": "mail.example.org"}, "smtp_from is ''; write an address"),
        (
            {"TALLYSTICK_SMTP_HOST": "m", "TALLYSTICK_SMTP_FROM": "card@example.org\nBcc: eve@example.org"},
            "smtp_from is .*; write an address",
        ),
        ({"TALLYSTICK_SMTP_USER": "card"}, "smtp_user and smtp_password belong together"),
        (
            {
                "TALLYSTICK_SMTP_USER": "card",
                "TALLYSTICK_SMTP_PASSWORD": "geheim",
                "TALLYSTICK_SMTP_TLS": "none",
            },
            "a password is not sent openly",
        ),
        ({"TALLYSTICK_APNS_ADDRESS": "push"}, "apns_address is 'push'; write HOST:PORT"),
        ({"TALLYSTICK_REGION": "UK"}, "region is 'UK', which is no country.*GB for the United Kingdom"),
        ({"TALLYSTICK_PUBLIC_URL": "https://[card"}, "public_url has a URL that cannot be read"),
        ({"TALLYSTICK_PUBLIC_URL": "https://card:99999"}, "public_url has a URL that cannot be read"),
        ({"TALLYSTICK_NATS_URL": "nats://[h"}, "nats_url has a URL that cannot be read"),
        (
            {"TALLYSTICK_SMS_URL": "https://[h", "TALLYSTICK_SMS_SECRET": "whsec_" + "c2Vj" * 8},
            "sms_url has a URL that cannot be read",
        ),
        ({"TALLYSTICK_DATA_DIR": "~nobody-here/x"}, "data_dir is '~nobody-here/x'.*write the path in full"),
        *[
            ({"TALLYSTICK_CORS_ORIGINS": origin}, "cors_origins has .*write it as browsers do")
            for origin in (
                "https://card.example.org/",
                "https://Card.example.org",
                "https://card.example.org:443",
                "https://k\u00e4rtchen.example.org",
                "card.example.org",
                "*",
            )
        ],
        (
            {"TALLYSTICK_CORS_ORIGINS": ",".join(f"https://card{n}.example.org" for n in range(33))},
            "cors_origins has more than 32 origins",
        ),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_its_name(environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRefused, match=told):
        load(environ=environ)


def test_a_setting_that_cannot_be_read_does_not_show_the_password_in_it() -> None:
    with pytest.raises(SettingsRefused) as refused:
        load(environ={"TALLYSTICK_NATS_URL": "nats://events:geheim/@host"})
    assert "geheim" not in str(refused.value)


def test_origins_are_taken_as_browsers_send_them() -> None:
    origins = "https://card.example.org, http://localhost:8000, https://10.0.0.1:8443, capacitor://localhost"
    assert load(environ={"TALLYSTICK_CORS_ORIGINS": origins}).cors_origins == tuple(origins.split(", "))


def test_a_file_with_values_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"workers in .* must be whole number, not '4'"):
        load(file=write(tmp_path, 'workers = "4"\n'), environ={})
    with pytest.raises(SettingsRefused, match="is not TOML"):
        load(file=write(tmp_path, "workers: 4\n"), environ={})
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load(file=tmp_path / "missing.toml", environ={})


def test_a_file_may_begin_with_the_mark_that_some_editors_write(tmp_path: Path) -> None:
    assert load(file=write(tmp_path, "\ufeffsmtp_port = 26\n"), environ={}).smtp_port == 26


def test_an_address_may_be_of_either_internet_protocol() -> None:
    assert split_address("[::1]:8080") == ("::1", 8080)
    assert split_address("localhost:0") == ("localhost", 0)
    with pytest.raises(ValueError, match="not HOST:PORT"):
        split_address(":8080")


def test_every_setting_is_explained_on_the_operators_page() -> None:
    page = (ROOT / "docs" / "guides" / "operate.md").read_text()
    assert [info.name for info in describe()] == [each.name for each in fields(Settings)]
    for info in describe():
        assert f"| `{info.name}` |" in page, f"docs/guides/operate.md does not name {info.name}"
