"""The options of --sbatch: read as a shell does, written as sbatch reads them."""

import shlex

import pytest

from caspl.ground.errors import InputError
from caspl.sweeps.engines.slurm.heads import options, table_head, task_head


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("--partition=gpu --time=8:00:00", ["--partition=gpu", "--time=8:00:00"]),
        ("-p gpu -t8:00:00 --exclusive", ["-p gpu", "-t8:00:00", "--exclusive"]),
        ("--comment='a \"b\" # c'", ['"--comment=a \\"b\\" # c"']),
        (r"--comment a\ \\b", ['--comment "a \\\\b"']),
    ],
)
def test_options_stand_in_the_head(text, lines):
    head = task_head(options(text), gpu=False)
    assert head[len(head) - len(lines) :] == [f"#SBATCH {line}" for line in lines]
    assert [line for line in lines if f"#SBATCH {line}" not in table_head(options(text))] == []


def test_a_gpu_unless_the_user_says_which():
    assert "#SBATCH --gres=gpu:1" in task_head(options("--time=1"), gpu=True)
    assert "#SBATCH --gres=gpu:1" not in task_head(options("--time=1"), gpu=False)
    for own in ("--gres=gpu:a100:1", "--gpus=1", "-G 1", "-G1", "--gpus-per-task 1", "--gres=none"):
        head = task_head(options(own), gpu=True)
        assert head[-1] == f"#SBATCH {own}" and "#SBATCH --gres=gpu:1" not in head
        assert own not in "".join(table_head(options(f"{own} --mem-per-gpu=8G")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('--comment="a', "can't be read as a shell would (no closing quotation)"),
        ("--comment=a\\", "can't be read as a shell would (no escaped character)"),
        ("gpu", 'has "gpu" where an option'),
        ("--time=1 gpu", 'has "gpu" where an option'),
        ("--time 1 2", 'has "2" where an option'),
        ("--", 'has "--" where an option'),
        ("''", 'has "" where an option'),
        ("--array=0-3", "has --array, but the runs make the arrays"),
        ("-a 3", "has -a, but"),
        ("-a3", "has -a, but"),
        ("--dependency afterok:3", "has --dependency, but"),
        ("--wrap=ls -d", "has --wrap, but the script is written here; leave it out; --sbatch has -d, but"),
        ("--dep=afterok:3", "has --dep, but each run waits for the one that it needs"),
        ("--job-name=mine", "has --job-name, but each array is named after its runs"),
        ("-J mine", "has -J, but"),
        (
            "-o log.txt --output=x",
            "has -o, but what the tasks say lies in the logs/ of the sweep; leave it out; --sbatch has --o",
        ),
        ("--comment='a\nb'", "has a line break or another hidden character"),
        ("--comment='a\x1bb'", "has a line break or another hidden character"),
    ],
)
def test_mistakes_are_sentences(text, said):
    with pytest.raises(InputError) as caught:
        options(text)
    assert said in str(caught.value) and str(caught.value).startswith("--sbatch") and str(caught.value).isprintable()


def test_a_shell_and_a_head_agree():
    words = ["--comment=it's", '--wckey="x"', "--mail-user", "a b\\c"]
    assert [word for option in options(shlex.join(words)) for word in option] == words
