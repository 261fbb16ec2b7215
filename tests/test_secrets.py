"""Secrets are found by their shape; what is none stays."""

from __future__ import annotations

import time

import pytest

from lumosai._secrets import HIDDEN, redact, redacted

SECRETS = [
    "sk-proj-" + "aB3_" * 12,
    "sk-ant-api03-" + "x9" * 30,
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "gsk_" + "abc123DEF456ghi789jkl",
    "xai-" + "abc123def456ghi789",
    "nvapi-" + "a1b2c3d4e5f6",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "a1" * 18,
    "github_pat_" + "11ABCDEFG0" * 3,
    "glpat-" + "x1y2z3" * 4,
    "hf_" + "AbCd1234" * 4,
    "xoxb-" + "123456789012-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "sk_test_" + "abcdefghijklmnopqrstuvwx",
    "jina_" + "0a1b2c3d" * 5,
    "lsv2_pt_" + "0a1b2c3d" * 4 + "_0123456789",
    "pa-" + "aBcDeFgHiJkLmNoPqRsT" * 2 + "xyz",
    "AQ." + "Ab8RN6K_" * 5,
    "bce-v3/ALTAK-" + "aBcDeFgHiJ" + "/" + "0a1b2c3d" * 5,
    "0a1b2c3d" * 4 + "." + "AbCdEfGh12345678",
    "dapi" + "0a1b2c3d" * 4,
    "SG." + "aBcDeFgHiJkLmNoPqRsT" + "." + "aBcDeFgHiJkLmNoPqRsT" * 2,
    "xapp-" + "1-A0123456789-abcdef",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda s: s[:8])
def test_a_key_is_hidden_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"the key {secret}, you see", f'{{"k": "{secret}"}}', f"密钥是{secret}。", f"x={secret}&y=1"):
        told = redact(text)
        assert secret[8:] not in told
        assert HIDDEN in told
    assert redact(f"keep this {secret} and that").startswith("keep this ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Authorization: Bearer abc123def456", "Authorization: [hidden]"),
        ("curl -H 'Bearer abc123def456'", "curl -H 'Bearer [hidden]'"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic [hidden]"),
        ("postgresql://ann:hunter2@db/x", "postgresql://ann:[hidden]@db/x"),
        ('{"password": "hunter2", "n": 1}', '{"password": "[hidden]", "n": 1}'),
        (r"{\"api_key\": \"abcdef\"}", r"{\"api_key\": \"[hidden]\"}"),
        ('{"refreshToken": "hunter2"}', '{"refreshToken": "[hidden]"}'),
        ("密码：hunter2", "密码：[hidden]"),
        ("Set-Cookie: sid=abc123; Path=/", "Set-Cookie: [hidden]; Path=/"),
        ("https://s3/k?X-Amz-Signature=abc123abc123&x=1", "https://s3/k?X-Amz-Signature=[hidden]&x=1"),
        ("DB_PASSWORD=hunter2 ./run", "DB_PASSWORD=[hidden] ./run"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", HIDDEN),
    ],
)
def test_what_stands_behind_a_name_is_hidden(text: str, told: str) -> None:
    out = redact(text)
    assert out == told or (HIDDEN in out and "abc123" not in out)


@pytest.mark.parametrize(
    "text",
    [
        "The risk-assessment-of-everything-else is a task-oriented-approach-2024.",
        "Basic information about Bearer authentication and Token handling.",
        "1,024 tokens; max_tokens=512 and input_tokens: 99",
        "https://example.com:8080/path?q=1",
        "我的密码学课本",
        "a secretary passes the salt",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_json_is_searched_through_and_keys_count() -> None:
    given = {
        "headers": {"authorization": "x"},
        "list": ["sk-" + "a1" * 20, 3, None],
        "apiKey": "k",
        "tokens": "many",
        "n": 1,
    }
    assert redacted(given) == {
        "headers": {"authorization": HIDDEN},
        "list": [HIDDEN, 3, None],
        "apiKey": HIDDEN,
        "tokens": "many",
        "n": 1,
    }


def test_hostile_text_takes_no_longer_than_its_length() -> None:
    for piece in ("sk-", "Bearer ", "://a:", "password", "eyJa.", "-----BEGIN ", "token = ", "secret:" + " " * 50):
        began = time.process_time()
        redact(piece * (200_000 // len(piece)))
        assert time.process_time() - began < 2


def test_whatever_stands_under_a_name_is_hidden_however_deep() -> None:
    """Names in any spelling, lists and objects too; numbers and names that only look alike stay."""
    told = redacted(
        {
            "sessionToken": "a",
            "headers": [{"Cookie": "b", "X-Api-Key": "c"}],
            "credentials": {"user": "d", "more": ["e", {"f": "g"}]},
            "pwd": "h",
            "密钥": "i",
            "input_tokens": 5,
            "tokens": "six",
            "keyboard": "qwerty",
            "authors": "Ann",
        }
    )
    assert told == {
        "sessionToken": HIDDEN,
        "headers": [{"Cookie": HIDDEN, "X-Api-Key": HIDDEN}],
        "credentials": {"user": HIDDEN, "more": [HIDDEN, {"f": HIDDEN}]},
        "pwd": HIDDEN,
        "密钥": HIDDEN,
        "input_tokens": 5,
        "tokens": "six",
        "keyboard": "qwerty",
        "authors": "Ann",
    }
    assert redact("PWD=/home/ann") == "PWD=/home/ann"
