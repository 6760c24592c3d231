"""The text tower's plan: its worked example, and where tokens of every kind stand."""

import doctest
import textwrap
from pathlib import Path

import open_clip
import pytest

from caspl.ground.errors import InputError
from caspl.prompting import layout as layout_module
from caspl.prompting.layout import ClassTokens, GroupShape, Layout, Prompt, Word

ARCHITECTURE = Path(__file__).resolve().parents[3] / "docs" / "architecture.md"
TOKENIZER = open_clip.SimpleTokenizer()


def plan(names, *groups, blocks=3, context_length=77):
    return Layout(ClassTokens(names, TOKENIZER), groups, blocks, context_length)


def cells(table, token):
    """What each block does with the first token of this name in a table."""
    line = next(line for line in table.splitlines() if line.startswith(f"  {token} "))
    return [line[start : start + 18].strip() for start in range(18, len(line), 18)]


def test_the_worked_example_is_what_the_layout_prints():
    table = plan(["cat", "guinea pig"], GroupShape((2,)), GroupShape((1, 1))).table()
    assert textwrap.indent(table, "    ") in layout_module.__doc__
    assert f"```text\n{table}\n```" in ARCHITECTURE.read_text()
    example = doctest.DocTestFinder(recurse=False).find(layout_module)[0]
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=4)


def test_the_worked_example_says_what_the_method_says():
    """Independently of how the table is made: a prompt lives where the next block carries it on, the last block has [EOS]."""
    table = plan(["cat", "guinea pig"], GroupShape((2,)), GroupShape((1, 1))).table()
    assert cells(table, "[SOS]") == cells(table, "a2") == ["embedded, output", "carried, output", "carried"]
    assert cells(table, "b1") == ["embedded", "replaced, output", "carried"]
    assert cells(table, "[EOS]") == ["embedded, output", "carried, output", "carried, output"]
    assert table.splitlines()[-1].split() == ["outputs", "10", "11", "2"]


def test_prefix_and_tails_hold_every_token_once():
    layout = plan(["cat", "guinea pig", "dog"], GroupShape((2,)), GroupShape((1, 1)))
    assert layout.prefix == (Word(0), Prompt(0, 0), Prompt(0, 1), Prompt(1, 0))
    assert [bucket.classes for bucket in layout.buckets] == [(0, 2), (1,)]  # by token count
    assert layout.buckets[0].columns == (Word(1), Word(2), Word(3))
    assert layout.positions.tolist() == [0, 1, 2, 3, *[4, 5, 6] * 2, 4, 5, 6, 7]
    assert layout.order.tolist() == [0, 2, 1]
    start, end = TOKENIZER.sot_token_id, TOKENIZER.eot_token_id
    words = [[*TOKENIZER.encode(f"{name}."), end] for name in ("cat", "dog", "guinea pig")]
    assert layout.word_ids.tolist() == [start, *(token for ids in words for token in ids)]


def test_prompts_behind_the_name_stand_in_the_tails():
    layout = plan(["cat"], GroupShape((4,), after_name=2), GroupShape((1, 1)))
    assert layout.prefix == (Word(0), Prompt(0, 0), Prompt(0, 1), Prompt(1, 0))
    assert layout.buckets[0].columns == (Word(1), Prompt(0, 2), Prompt(0, 3), Word(2), Word(3))


def test_what_follows_class_specific_prompts_is_not_shared():
    layout = plan(["cat", "dog"], GroupShape((1,)), GroupShape((1,), class_specific=True), GroupShape((1,)))
    assert layout.prefix == (Word(0), Prompt(0, 0))
    assert layout.buckets[0].columns[:2] == (Prompt(1, 0), Prompt(2, 0))
    # Carried words: [SOS] and three for each class; then a1, b1 for each class, c1.
    assert layout.steps[0].enter.tolist() == [0, 7, 8, 10, 1, 2, 3, 9, 10, 4, 5, 6]


def test_a_deeper_entry_with_fewer_tokens_replaces_the_first_of_them():
    layout = plan(["cat"], GroupShape((3, 1)), blocks=2)
    assert cells(layout.table(), "a1") == ["embedded", "replaced"]
    assert cells(layout.table(), "a2") == ["embedded, output", "carried"]
    assert layout.steps[0].live.tolist() == [0, 2, 3, 4, 5, 6]
    assert layout.steps[1].enter.tolist() == [0, 6, 1, 2, 3, 4, 5]  # the new a1 stands behind the six carried tokens
    assert layout.steps[1].live.tolist() == [6]


def test_without_prompts_nothing_is_rearranged():
    layout = plan(["cat", "guinea pig"])
    assert all(step.enter is None for step in layout.steps)
    assert all(step.live is None for step in layout.steps[:-1])


@pytest.mark.parametrize(
    ("groups", "context_length", "message"),
    [
        ([GroupShape((2,)), GroupShape((1,) * 4)], 77, "text prompts of group 1 reach 4 blocks, but the tower has 3"),
        ([GroupShape((2,))], 6, '"guinea pig" takes 4 tokens .* 2 prompt tokens makes 7, .* has 6 positions'),
    ],
)
def test_what_does_not_fit_is_refused(groups, context_length, message):
    with pytest.raises(InputError, match=message):
        plan(["cat", "guinea pig"], *groups, context_length=context_length)


def test_a_name_that_would_take_minutes_to_split():
    with pytest.raises(InputError, match='the class name "x{40}..." has 100,000 characters, expected 1,000 or fewer'):
        ClassTokens(["cat", "x" * 100_000], TOKENIZER)
