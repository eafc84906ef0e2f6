"""The addresses that the guarded client sends requests to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.adapters.http.address_rules import AddressRules, canonical, is_public, parsed, without_user
from bindery.domain.errors import BadAddress, ForbiddenAddress

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
]
PUBLIC = ["8.8.8.8", "140.82.121.4", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_ADDRESSES = [
    "",
    "file:///etc/passwd",
    "ssh://git@example.org/a",
    "git://example.org/a",
    "ext::sh -c id",
    "--upload-pack=id",
    "http://",
    "http:///a",
    "http://user@example.org/",
    "http://user:secret@example.org/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org:99999/",
    "http://example.org:x/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://127.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.1.0x1/",
    "http://0x7f000001/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020.0.1/",
    "http://b\u00fccher.example/",
    "http://[::1%25lo]/",
    "http://[fe80::1%eth0]/",
    "http://[::1/",
    "http://[v1.a]/",
    "http://exa mple.org/",
    "http://example.org/\n",
    "http://example.org/\0",
    "http://example..org/",
    "http://-a.org/",
    "http://" + "a" * 300 + ".org/",
    "http://%31%32%37.0.0.1/",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_certainly_public_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", NOT_ADDRESSES)
def test_invalid_addresses_are_refused_without_a_lookup(url: str) -> None:
    with pytest.raises(BadAddress):
        AddressRules().check(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "[fd00:ec2::254]", "[::ffff:10.0.0.1]"])
def test_private_ip_addresses_are_forbidden(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        AddressRules().check(f"http://{host}/a")


@pytest.mark.parametrize(
    ("url", "entry"),
    [("http://127.0.0.1:3000/r", "127.0.0.1:3000"), ("https://[::1]/r", "[::1]:443")],
)
def test_the_log_names_the_setting_that_allows_a_private_address(
    url: str, entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ForbiddenAddress):
        AddressRules().check(url)
    assert f"BINDERY_ALLOWED_PRIVATE_HOSTS={entry} " in caplog.text
    AddressRules([entry]).check(url)


def test_the_log_names_the_setting_for_a_name_with_a_private_address(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ForbiddenAddress):
        AddressRules().check_resolved("forge.internal", 3000, ["10.0.0.1"])
    assert "BINDERY_ALLOWED_PRIVATE_HOSTS=forge.internal:3000 " in caplog.text
    AddressRules(["forge.internal:3000"]).check_resolved("forge.internal", 3000, ["10.0.0.1"])


def test_a_password_is_never_shown() -> None:
    for url in ("http://me:hunter2@example.org/", "ssh://me:hunter2@example.org/", "http://me:hunter2@exa mple.org/"):
        with pytest.raises(BadAddress) as caught:
            parsed(url)
        assert "hunter2" not in str(caught.value)
        assert "example.org" in str(caught.value) or "mple.org" in str(caught.value)


def test_an_allowed_host_may_be_private_on_any_port() -> None:
    rules = AddressRules(["Forge.internal", "127.0.0.1:81", "[::1]:3000"])
    assert rules.check("http://forge.internal./a").host == "forge.internal"
    assert rules.check("http://FORGE.internal:23/").port == 23
    assert rules.check("http://127.0.0.1:81/").port == 81
    assert rules.check("http://[::1]:3000/").host == "::1"
    rules.check_resolved("forge.internal", 80, ["10.0.0.1"])


def test_an_allowed_port_does_not_allow_others() -> None:
    rules = AddressRules(["127.0.0.1:8081", "[::1]:3000"])
    for url in ("http://127.0.0.1:8082/", "http://127.0.0.1/", "http://[::1]:3001/"):
        with pytest.raises(ForbiddenAddress):
            rules.check(url)


def test_ports_of_other_services_are_refused() -> None:
    for port in (0, 22, 25, 1023):
        with pytest.raises(BadAddress):
            AddressRules().check(f"http://example.org:{port}/")
    for port in (80, 443, 1024, 8443):
        assert AddressRules().check(f"https://example.org:{port}/").port == port


def test_one_private_address_in_a_lookup_forbids_the_name() -> None:
    with pytest.raises(ForbiddenAddress) as caught:
        AddressRules().check_resolved("example.org", 443, ["8.8.8.8", "10.0.0.1"])
    assert caught.value.facts == {"host": "example.org"}
    AddressRules().check_resolved("example.org", 443, ["8.8.8.8", "2606:4700::1111"])


@given(
    st.text()
    | st.text().map(lambda rest: f"http://{rest}")
    | st.text("0123456789abcdefx.:[]%@/", max_size=30).map("http://{}".format)
)
def test_any_text_is_an_address_or_refused(url: str) -> None:
    try:
        address = AddressRules().check(url)
    except (BadAddress, ForbiddenAddress):
        return
    assert address.host.isascii()
    assert not any(letter in address.host for letter in "%@/[] ")
    assert 0 < address.port < 65536


def test_an_extremely_long_address_is_refused_at_once() -> None:
    """Each of these addresses would take hours if the time grew with the square of its length."""
    for url in ("https://example.org/" + "a" * 3_000_000, "x" * 3_000_000, "https://" + "a@" * 1_500_000):
        with pytest.raises(BadAddress, match="longer") as caught:
            parsed(url)
        assert len(str(caught.value.facts["url"])) <= 200
    assert parsed("https://example.org/" + "a" * 1900).host == "example.org"


def test_a_very_long_password_is_removed() -> None:
    assert without_user("https://me:" + "hunter2" * 100_000 + "@example.org/a/b@c/d") == "https://example.org/a/c/d"


@pytest.mark.parametrize(
    "url",
    [
        "https://forge.example/evil/repo.git",
        "https://forge.example/evil/repo.git/",
        "https://forge.example/evil/repo.GIT",
        "HTTPS://Forge.Example/evil/repo",
        "https://forge.example./evil/repo",
        "https://forge.example:443/evil/repo",
        "https://forge.example/%65vil/repo",
        "https://forge.example/%2565vil/repo%2Egit",
        "https://forge.example//evil/./x/../repo",
        "https://forge.example/evil%2Frepo/",
    ],
)
def test_all_spellings_of_an_address_have_one_canonical_form(url: str) -> None:
    assert canonical(url) == "https://forge.example/evil/repo"


def test_different_addresses_have_different_canonical_forms() -> None:
    urls = [
        "http://forge.example/a",
        "https://forge.example:8443/a",
        "https://forge.example/A",
        "https://forge.example/a.git.git",
        "https://[2606:4700:0::1]/a",
        "https://forge.example/",
    ]
    assert [canonical(url) for url in urls] == [
        *urls[:3],
        "https://forge.example/a.git",
        "https://[2606:4700::1]/a",
        "https://forge.example",
    ]
