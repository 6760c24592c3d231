"""Names that hold what a terminal, Markdown, a spreadsheet or a figure would act upon."""

import logging
import shlex

import pytest

from caspl.ground.texts import (
    Visible,
    as_read,
    as_typed,
    in_csv,
    in_figure,
    in_markdown,
    letters,
    quoted,
    sentence,
    tell,
    visible,
)

SOUND = [
    "ViT-B/16",
    "vit_b16_c2_ep5_batch4_4+4ctx",
    "2012 Audi TTS Coupe",
    "été, 日本\u00a0",
    "👨\u200d👩",
    "می\u200cخواهم",
]


@pytest.mark.parametrize("name", SOUND)
def test_sound_names_stay_as_they_are(name):
    assert visible(name) == in_csv(name) == in_figure(name) == name
    assert in_markdown(name) == " ".join(name.split())


HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "a\rb\bc\x07": r"a\rb\x08c\x07",
    "\x9b31m": r"\x9b31m",
    "a\u202egpj.exe": r"a\u202egpj.exe",
    "a\u2066b\u200f": r"a\u2066b\u200f",
    "a\nb\tc\u2028d": r"a\nb\tc\u2028d",
    "\udcff": r"\udcff",
    "\U000e0041": r"\U000e0041",
    "\0": r"\x00",
}


@pytest.mark.parametrize("name, shown", HOSTILE.items(), ids=HOSTILE.values())
def test_what_a_terminal_obeys_is_shown(name, shown, capsys):
    assert visible(name) == shown and shown.isprintable()
    assert shown in in_csv(name) and shown in in_figure(name)
    tell(name)
    record = logging.makeLogRecord({"msg": "%s", "args": (name,)})
    assert capsys.readouterr().out == Visible().format(record) + "\n" == visible(name, keep="\n\t") + "\n"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("two\n lines\r\nand\x1b[0m", r"two lines and\x1b[0m"),
        ("x" * 100_000, "x" * 1800 + " ... " + "x" * 195),
    ],
    ids=["lines", "long"],
)
def test_sentences_are_one_line_of_bounded_length(text, shown):
    assert sentence(text) == shown


@pytest.mark.parametrize(
    "name, shown",
    [
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("[free](http://x.y)", r"\[free\](http\://x.y)"),
        ("www.x.y", r"www\.x.y"),
        ("_a_ **b** ~~c~~", r"\_a\_ \*\*b\*\* \~\~c\~\~"),
        ("$x$ &lt;", r"\$x\$ \&lt;"),
        ("@team #1 a@b.c", r"\@team \#1 a\@b.c"),
        ("ViT-L/14@336px", "ViT-L/14@336px"),
        ("a\\|b", r"a\\\|b"),
        ("a\n\n# b", "a # b"),
    ],
)
def test_markdown_shows_names_as_they_are(name, shown):
    assert in_markdown(name) == shown


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"])
def test_spreadsheets_run_nothing(name):
    assert in_csv(name) == f"'{name}"


def test_figures_leave_mathematics_alone():
    assert in_figure(r"$\frac$") == r"\$\frac\$"


@pytest.mark.parametrize(
    ("one", "other", "known_alike", "read_alike"),
    [
        ("Oxford_Pets", "oxfordpets", True, False),
        ("polar_bear", "Polar  bear", True, True),
        ("e\u0301t\u00e9", "\u00c9t\u00e9", False, True),  # an accent beside its letter
        ("ViT-B/16", "vit_b16", True, False),
        ("ant", "ants", False, False),
    ],
)
def test_names_that_are_alike(one, other, known_alike, read_alike):
    assert (letters(one) == letters(other)) is known_alike
    assert (as_read(one) == as_read(other)) is read_alike


@pytest.mark.parametrize("text", ["['path=id']", "a b", "", '["a"]', "$HOME", "a`b`", "it's", "'$x'", "C:\\x", "wow!"])
def test_a_quoted_text_is_one_word_of_a_shell(text):
    assert shlex.split(quoted(text)) == [text]
    assert shlex.split(as_typed(["a", text])) == ["a", text]
