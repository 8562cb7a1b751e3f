"""One family of errors, and messages that say what came, what is allowed and what is near."""

import inspect

import pytest

from isthmus import errors
from isthmus.errors import BadOption, IsthmusError, UnknownName, check_choice, check_range, unknown

FAMILY = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_of_the_family_and_says_what_it_means(kind):
    assert issubclass(kind, IsthmusError)
    assert kind.__doc__.strip()


@pytest.mark.parametrize(
    ("name", "builtin"),
    [("Diverged", ArithmeticError), ("LostProcess", ConnectionError), ("MissingExtra", ImportError)],
)
def test_an_error_that_is_no_mistake_of_the_user_is_no_value_error(name, builtin):
    assert issubclass(getattr(errors, name), builtin)
    assert not issubclass(getattr(errors, name), ValueError)


NO_MISTAKES = ("IsthmusError", "Diverged", "LostProcess", "MissingExtra")


@pytest.mark.parametrize("kind", [c for c in FAMILY if c.__name__ not in NO_MISTAKES])
def test_a_mistake_of_the_user_is_a_value_error(kind):
    assert issubclass(kind, ValueError)


def test_an_unknown_name_comes_with_the_nearest_and_all_known_in_order():
    error = unknown("recipe", "vea", ["vae", "deep"])
    assert isinstance(error, UnknownName)
    assert str(error) == "There is no recipe 'vea'; did you mean 'vae'? Known: deep, vae."


def test_an_unknown_name_like_no_other_comes_with_all_known():
    assert str(unknown("recipe", "zzz", ["vae"])) == "There is no recipe 'zzz'. Known: vae."
    assert str(unknown("option", "zzz", [])) == "There is no option 'zzz'."


def test_a_choice_is_one_of_those_allowed():
    assert check_choice("up", "b", ["a", "b"]) is None
    with pytest.raises(BadOption, match=r"^up cannot be 'aaz'; did you mean 'aaa'\? Allowed: aaa, b\.$"):
        check_choice("up", "aaz", ["b", "aaa"])
    with pytest.raises(BadOption, match=r"^up cannot be 'q'\. Allowed: aaa, b\.$"):
        check_choice("up", "q", ["b", "aaa"])


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_closed_range_holds_its_ends(value):
    assert check_range("x", value, 0, 1) is None


@pytest.mark.parametrize(
    ("value", "bounds", "open_low", "message"),
    [
        (-0.1, (0, 1), False, r"^x must be at least 0 and at most 1, but is -0\.1\.$"),
        (1.1, (0, 1), False, r"^x must be at least 0 and at most 1, but is 1\.1\.$"),
        (0, (0, 1), True, r"^x must be above 0 and at most 1, but is 0\.$"),
        (float("nan"), (0, 1), False, r"^x must be at least 0 and at most 1, but is nan\.$"),
        (float("nan"), (), False, r"^x must be a number, but is nan\.$"),
        (-1, (0,), False, r"^x must be at least 0, but is -1\.$"),
        (2, (float("-inf"), 1), False, r"^x must be at most 1, but is 2\.$"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(value, bounds, open_low, message):
    with pytest.raises(BadOption, match=message):
        check_range("x", value, *bounds, open_low=open_low)
