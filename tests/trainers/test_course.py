"""When a training is said not to have helped."""

import json

import pytest

from caspl.ground.errors import InputError
from caspl.trainers.course import Course

CASES = {  # batches' losses by epoch, accuracies in percent by epoch (None: no labels), accuracy of a test, what is said
    "falling": ([[2.0, 2.2], [1.0, 1.1]], 60, None, ""),
    "one epoch": ([[2.0, 9.0]], 60, None, ""),
    "scatter": ([[1.0, 3.0], [2.5, 3.5]], 60, None, ""),
    "risen": ([[2.0, 2.1], [3.0, 9.0]], 60, None, "the loss at the end, 6, is above that of the first epoch, 2.05"),
    "a little, few batches": ([[2.0, 2.0], [2.8, 2.8]], 60, None, ""),
    "a little, many batches": ([[2.0] * 20, [2.8] * 20], 60, None, "the loss at the end, 2.8, is above"),
    "back again": ([[2.0, 2.0], [9.0, 9.0], [1.5, 1.5]], 60, None, ""),
    "guessing": ([[2.0, 2.0], [1.9, 1.9]], 20, None, ""),
    "below": ([[2.0] * 40, [1.9] * 40], 8, None, "the accuracy is 8.0 %, below the 20.0 % of guessing"),
    "none right of eight": ([[2.0, 2.0], [1.9, 1.9]], 0, None, ""),
    "below, in a test": ([[2.0, 2.0], [1.9, 1.9]], None, 12.0, "the accuracy is 12.0 %, below the 20.0 % of guessing"),
    "above, in a test": ([[2.0, 2.0], [1.9, 1.9]], None, 55.0, ""),
    "below, in a test, after the last step": (
        [[2.0, 2.0]],
        60,
        12.0,
        "the accuracy is 12.0 %, below the 20.0 % of guessing",
    ),
    "few images, well tested": ([[2.0, 2.0]], 0, 55.0, ""),
    "untested": ([[2.0, 2.0], [1.9, 1.9]], None, None, ""),
    "nothing trained": ([], None, 3.0, ""),
}


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_complaints(case, interrupted):
    epochs, accuracy, tested, said = CASES[case]
    course = Course()
    for epoch, losses in enumerate(epochs):
        if interrupted:
            course = Course.of_state(json.loads(json.dumps(course.state())))
        for loss in losses:
            course.add(epoch, 4, loss, accuracy)
    found = course.complaint(5, tested)
    assert found.startswith(said) and bool(found) == bool(said)


def test_means_are_weighted_with_the_images():
    course = Course()
    course.add(0, 30, 2.0, 50.0)
    course.add(0, 10, 6.0, 10.0)
    assert course.latest.mean == 3.0 and course.latest.correct == 16.0


def test_the_end_is_a_fifth_of_the_epochs():
    course = Course()
    for epoch in range(10):
        course.add(epoch, 4, 9.0 if epoch == 9 else 2.0)
    assert course.complaint(5).startswith("the loss at the end, 5.5,")


NONE = [{"first": 3}, {"losses": 3}, {"last": []}, {"latest": {"number": "x"}}, {"losses": ["x"]}, "x"]


@pytest.mark.parametrize("state", NONE)
def test_what_is_no_course(state):
    with pytest.raises(InputError, match="no run has written .* as the course of its training; delete the file"):
        Course.of_state(state)
