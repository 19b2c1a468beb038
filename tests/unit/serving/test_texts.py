from hypothesis import given
from hypothesis import strategies as st

from wordseq.serving.texts import plan_text, splitter
from wordseq.text.sentences import join_sentences, split_sentences

SPLIT = splitter("en", True)


def test_line_ends_stay_and_sentences_are_apart():
    plan = plan_text("One. Two!\r\n\r\n  Three\n\rFour.\n", SPLIT)
    assert plan.sentences == ["One.", "Two!", "Three", "Four."]
    assert plan.join(["1", "2", "3", "4"]) == "1 2\r\n\r\n  3\n\r4\n"


def test_each_line_is_a_sentence_where_sources_have_features():
    plan = plan_text("a. b.\tX;Y\nc\tZ", splitter("en", False))
    assert plan.sentences == ["a. b.\tX;Y", "c\tZ"]


@given(st.text(st.sampled_from("ab. !?\n\t\u2028日。"), max_size=30))
def test_a_line_is_joined_as_the_command_joins_it_and_line_ends_never_change(text):
    plan = plan_text(text, SPLIT)
    joined = plan.join([sentence.upper() for sentence in plan.sentences])
    assert joined.count("\n") == text.count("\n")
    for before, after in zip(text.split("\n"), joined.split("\n"), strict=True):
        assert after.strip() == join_sentences([sentence.upper() for sentence in split_sentences(before, "en")])
        # The spaces around it stay.
        assert after == before.replace(before.strip(), after.strip(), 1) if before.strip() else after == before
