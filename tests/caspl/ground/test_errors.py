import pickle

import dassl.utils
import pytest
from dassl.utils import MissingFileError, RegistryError, get_most_similar_str_to_a_from_b

from caspl.ground.errors import InputError, first_line, nearest, unknown_name


def test_dassl_has_the_same_error():
    assert dassl.utils.InputError is InputError
    assert issubclass(MissingFileError, InputError) and issubclass(MissingFileError, FileNotFoundError)
    assert issubclass(RegistryError, InputError) and issubclass(RegistryError, KeyError)


@pytest.mark.parametrize("kind", [InputError, MissingFileError, RegistryError])
def test_an_error_that_goes_to_another_process_stays_itself(kind):
    error = pickle.loads(pickle.dumps(kind("a sentence")))
    assert type(error) is kind and str(error) == "a sentence"


def test_the_nearest_name():
    assert nearest("Appel", ["Apple", "Pear"]) == "Apple"
    assert nearest("x", ["a", "b"]) == "b" and nearest("x", []) is None  # none resembles: the last
    assert get_most_similar_str_to_a_from_b("Appel", ["Apple", "Pear"]) == "Apple"
    assert unknown_name("Appel", ["Apple", "Pear"], "fruit") == (
        'Unknown fruit "Appel" (do you mean "Apple"?); available: Apple, Pear.'
    )
    assert unknown_name("x", []) == 'Unknown name "x": none is available.'


def test_the_first_line_of_what_a_library_says():
    assert first_line(ValueError("\n  one   line\nand more")) == "one line"
    assert first_line(KeyError()) == "KeyError"
    assert first_line("x" * 300, most=5) == "xxxxx"
