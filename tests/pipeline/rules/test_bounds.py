"""Rules: what is refused, and which rules are no rules."""

import math

import pytest

from pipeline.rules.bounds import Bounds, Measure, Refusal, check_rules, refusal

KNOWN = {"words": Measure(what="words"), "share": Measure(what="a share", most=1.0)}


def test_both_ends_are_allowed_and_beyond_them_nothing():
    rules = {"words": Bounds(least=50, most=100)}
    assert refusal({"words": 50}, rules) is None
    assert refusal({"words": 100}, rules) is None
    assert refusal({"words": 49}, rules) == Refusal(reason="words_under", measure=49, threshold=50)
    assert refusal({"words": 101}, rules) == Refusal(reason="words_over", measure=101, threshold=100)


def test_the_first_rule_that_is_broken_is_named_in_the_order_of_the_config():
    measures = {"words": 3.0, "share": 0.9}
    strict, short = {"share": Bounds(most=0.5)}, {"words": Bounds(least=50)}
    assert refusal(measures, strict | short) == Refusal(reason="share_over", measure=0.9, threshold=0.5)
    assert refusal(measures, short | strict) == Refusal(reason="words_under", measure=3, threshold=50)


def test_what_was_not_measured_breaks_no_rule():
    assert refusal({}, {"words": Bounds(least=50)}) is None


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"wrods": Bounds(least=1)}, "document has the unknown rule 'wrods'; known are share, words"),
        ({"share": Bounds(most=1.5)}, "document.share.most is 1.5; it must be from 0 to 1"),
        ({"words": Bounds(least=-1)}, "document.words.least is -1; it must be from 0 to inf"),
        ({"share": Bounds(least=math.nan)}, "document.share.least is nan; it must be from 0 to 1"),
        ({"words": Bounds(least=5, most=4)}, "document.words.least is 5, more than document.words.most, 4"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused_in_a_sentence(rules, sentence):
    with pytest.raises(ValueError, match="^" + sentence + "$"):
        check_rules("document", rules, KNOWN)
