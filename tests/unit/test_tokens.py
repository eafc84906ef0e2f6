"""Build tokens, event ids and launcher tokens. Build tokens are JWTs that others can read but not make; the rest are signed."""

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from bindery.domain.errors import BadBuildToken
from bindery.domain.tokens import BuildToken, Tokens, launch_id

SECRET = "a secret of the tests, 32 characters or more"
TOKENS = Tokens(SECRET)
KEY = OctKey.import_key(SECRET)
AUDIENCE = "gh/o/r/HEAD"
CLAIMS = {"exp": 2_000_000_000, "aud": AUDIENCE, "origin": "https://bindery.example", "jti": "abc"}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refused(token: str, audience: str = AUDIENCE) -> str:
    with pytest.raises(BadBuildToken) as caught:
        TOKENS.read_build_token(token, audience)
    assert token not in str(caught.value) or not token
    return str(caught.value.facts["why"])


def test_another_library_verifies_our_tokens() -> None:
    token = jwt.decode(TOKENS.build_token(AUDIENCE, "https://bindery.example", "abc", 2e9), KEY, algorithms=["HS256"])
    assert token.header == {"alg": "HS256", "typ": "JWT"}
    assert token.claims == CLAIMS


def test_tokens_of_another_library_are_accepted() -> None:
    token = jwt.encode({"alg": "HS256", "typ": "JWT"}, CLAIMS, KEY)
    assert TOKENS.read_build_token(token, AUDIENCE) == BuildToken("abc", "https://bindery.example", 2e9)


def test_an_expired_token_is_still_read() -> None:
    assert TOKENS.read_build_token(TOKENS.build_token(AUDIENCE, "", "abc", 1), AUDIENCE).expires == 1


@given(st.text(max_size=2000), st.text(max_size=50), st.text(max_size=50))
def test_tokens_for_any_spec_are_read_back(audience: str, origin: str, jti: str) -> None:
    read = TOKENS.read_build_token(TOKENS.build_token(audience, origin, jti, 2e9), audience)
    assert (read.jti, read.origin) == (jti, origin)


def test_the_longest_spec_has_a_valid_token() -> None:
    audience = "git/" + "\u20ac" * 2000
    assert TOKENS.read_build_token(TOKENS.build_token(audience, "", "abc", 2e9), audience)


def test_a_token_without_a_signature_is_refused() -> None:
    for alg in ("none", "None", "NONE", "HS256"):
        assert refused(f"{part({'alg': alg, 'typ': 'JWT'})}.{part(CLAIMS)}.")


def test_alg_none_is_refused_even_with_a_good_signature() -> None:
    signed_part = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}"
    assert refused(f"{signed_part}.{signature(signed_part)}")


def signature(signed_part: str) -> str:

    return base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed_part.encode(), "sha256")).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ["HS384", "HS512"])
def test_another_algorithm_is_refused(alg: str) -> None:
    assert refused(jwt.encode({"alg": alg, "typ": "JWT"}, CLAIMS, KEY, algorithms=[alg]))


def test_another_secret_is_refused() -> None:
    assert refused(Tokens(SECRET + "x").build_token(AUDIENCE, "", "abc", 2e9))


def test_a_token_for_another_repository_is_refused() -> None:
    token = TOKENS.build_token("gh/o/other/HEAD", "", "abc", 2e9)
    assert refused(token) == "it is for another repository"


def test_claims_swapped_between_two_good_tokens_are_refused() -> None:
    own = TOKENS.build_token(AUDIENCE, "", "abc", 2e9).split(".")
    other = TOKENS.build_token("gh/o/other/HEAD", "", "abc", 2e9).split(".")
    assert refused(".".join((own[0], other[1], own[2])), "gh/o/other/HEAD")


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_change_of_a_token_is_detected(place: int, by: int) -> None:
    token = TOKENS.build_token(AUDIENCE, "", "abc", 2e9).encode()
    place %= len(token)
    changed = token[:place] + bytes([(token[place] + by) % 256]) + token[place + 1 :]
    text = changed.decode("latin-1")
    with pytest.raises(BadBuildToken):
        TOKENS.read_build_token(text, AUDIENCE)


@given(st.text(max_size=300))
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(BadBuildToken):
        TOKENS.read_build_token(text, AUDIENCE)


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b.c", "\ud800.\ud800.\ud800", "\0", "x" * 100_000])
def test_malformed_tokens_are_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        7,
        "x",
        {},
        {"aud": AUDIENCE, "exp": 1, "origin": ""},
        {"jti": "a", "exp": 1, "origin": ""},
        {"jti": "a", "exp": "soon", "origin": "", "aud": AUDIENCE},
        {"jti": "a", "exp": 10**400, "origin": "", "aud": AUDIENCE},
        {"jti": "a", "exp": None, "origin": "", "aud": AUDIENCE},
    ],
)
def test_invalid_claims_with_a_valid_signature_are_refused(claims: object) -> None:
    signed_part = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    assert refused(f"{signed_part}.{signature(signed_part)}") == "it cannot be read"


@pytest.mark.parametrize("signed_part", ["", "a", "a.b.c", "!.!", ".", "e30", "e30.", "W10.W10"])
def test_malformed_tokens_with_a_valid_signature_are_refused(signed_part: str) -> None:
    assert refused(f"{signed_part}.{signature(signed_part)}")


def test_an_event_id_contains_its_launch_and_cursor() -> None:
    assert TOKENS.read_event_id(TOKENS.event_id("launch", "3.1.17")) == ("launch", "3.1.17")


@given(st.text(max_size=200))
def test_arbitrary_text_is_no_event_id(text: str) -> None:
    with pytest.raises(BadBuildToken):
        TOKENS.read_event_id(text)


def test_a_modified_event_id_is_refused() -> None:
    launch, _, mac = TOKENS.event_id("launch", "3.1.17").rpartition(":")
    for forged in (f"{launch}8:{mac}", f"other:3.1.17:{mac}", f"{launch}:"):
        with pytest.raises(BadBuildToken):
            TOKENS.read_event_id(forged)


def test_a_launcher_token_is_valid_for_one_launch() -> None:
    token = TOKENS.launcher_token("launch")
    assert TOKENS.is_launcher(token, "launch")
    for other in ("", "x", token[:-1], token + "A", "\ud800", "é"):
        assert not TOKENS.is_launcher(other, "launch")
    assert not TOKENS.is_launcher(token, "other")


def test_a_signature_is_valid_for_one_purpose_only() -> None:
    """An event id is visible to the viewers of a launch, so it must not be accepted as a token for stopping the launch."""
    mac = TOKENS.event_id("launch", "1.0.").rpartition(":")[2]
    assert not TOKENS.is_launcher(mac, "launch")
    assert not TOKENS.is_launcher(mac, "launch:1.0.")
    with pytest.raises(BadBuildToken):
        TOKENS.read_event_id(f"launch:{TOKENS.launcher_token('launch')}")


def test_launch_ids_are_valid_host_names_and_depend_on_the_jti() -> None:
    ids = {launch_id(f"{n}") for n in range(100)}
    assert len(ids) == 100
    assert all(id_.isalnum() and id_.islower() and len(id_) == 26 for id_ in ids)
    assert launch_id("7") in ids
