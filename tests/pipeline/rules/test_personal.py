"""E-mail addresses, phone numbers and IP addresses: found, counted, and replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.personal import check_region, replace_personal


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Mail jo.bloggs+news@mail.example.co.uk, please.", "Mail <email>, please."),
        ("a@b.com/c_d@e-f.org", "<email>/<email>"),
        ("Follow @jo at x@y or 5@home", "Follow @jo at x@y or 5@home"),
        ("Call (212) 736-5000 or +44 20 7946 0958.", "Call <phone> or <phone>."),
        ("Ring 020 7946 0958", "Ring 020 7946 0958"),
        ("On 2024-05-06 at 12:30:45, $1,234,567.89 for ISBN 978-3-16-148410-0", None),
        ("Sizes 600/800/1000 ml, 10 000 000 people, 1984-2024", None),
        ("Host 8.8.8.8, port 53; 2001:4860:4860::8888 too", "Host <ip>, port 53; <ip> too"),
        ("Local: 127.0.0.1, 192.168.1.1, ::1, fe80::1", None),
        ("Version 1.2.3.4.5 and 999.1.1.1 at 10:20:30", None),
    ],
)
def test_what_is_personal_is_replaced(text, left):
    assert replace_personal(text)[0] == (text if left is None else left)


def test_a_region_says_whose_numbers_need_no_country():
    assert replace_personal("Ring 020 7946 0958", "GB")[0] == "Ring <phone>"


def test_what_is_replaced_is_counted():
    text = "jo@example.org and al@example.org: 212-736-5000, 8.8.4.4"
    assert replace_personal(text) == (
        "<email> and <email>: <phone>, <ip>",
        {"email_addresses": 2, "ip_addresses": 1, "phone_numbers": 1},
    )


@given(st.text(alphabet="a1@.:-+() \n\u00e9", max_size=120))
def test_replacing_twice_is_replacing_once(text):
    left, counts = replace_personal(text)
    again, none = replace_personal(left)
    assert left.count("<") == sum(counts.values())
    assert (again, sum(none.values())) == (left, 0)


@pytest.mark.parametrize("region", ["us", "USA", "", "XX"])
def test_an_unknown_region_is_refused(region):
    with pytest.raises(ValueError, match=r"^phone_region is '.*'; it must be a code of ISO 3166"):
        check_region("phone_region", region)
