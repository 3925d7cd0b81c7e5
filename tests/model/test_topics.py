from __future__ import annotations

from plexstream.model.topics.topics import Topics


def test_outputs_are_named_below_the_prefix() -> None:
    assert Topics("bank.").out("deposits") == "bank.out.deposits"


def test_an_output_may_have_a_name_of_its_own() -> None:
    topics = Topics("bank.", {"deposits": "money-in"})
    assert topics.out("deposits") == "money-in"
    assert topics.out("other") == "bank.out.other"
