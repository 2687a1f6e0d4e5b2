"""Options of an inversion are held against what they can be before anything is trained."""

import pytest
from small_inversion import study

from seepage import invert
from seepage.audit import prepare_inversion
from seepage.inversion import INVERSIONS
from seepage.records import UserError
from seepage.study import build_study

WRONG = [
    ("vmi", "family", "flwo", "one of gaussian, mixture, flow"),
    ("vmi", "gamma", float("nan"), "a finite number >= 0"),
    ("vmi", "batch", 0, "a whole number >= 1"),
    ("gmi", "loss", "xx", "one of cross_entropy, logit, max_margin"),
    ("gmi", "groups", "foo", "one of class, across"),
    ("gmi", "steps", -1, "a whole number >= 1"),
    ("gmi", "steps", 2.5, "a whole number >= 1"),
    ("gmi", "steps", "a", "a whole number >= 1"),
    ("gmi", "clamp", "a", "a finite number > 0 or none"),
    ("gmi", "clamp", -1, "a finite number > 0 or none"),
    ("gmi", "students", 1.5, "a whole number >= 0"),
    ("lomma", "learning_rate", 0, "a finite number > 0"),
    ("ked_mi", "draws", 2.5, "a whole number >= 1"),
    ("ked_mi", "identity_weight", "x", "a finite number"),
    ("hsic", "sigma", 1e200, "a finite number >= 1e-15 and <= 1e+15"),
    ("hsic", "sigma", 1e-200, "a finite number >= 1e-15 and <= 1e+15"),
    ("coco", "norm", "nuclear", "one of spectral, frobenius"),
]


@pytest.mark.parametrize("attacks", [["gmi"], list(INVERSIONS)])
@pytest.mark.parametrize(("name", "option", "value", "words"), WRONG)
def test_a_wrong_option_is_refused_in_the_run_or_not(tmp_path, attacks, name, option, value, words):
    settings = study(attacks=attacks, options={name: {option: value}})
    with pytest.raises(UserError) as caught:
        invert(settings, out=tmp_path / "run")
    assert str(caught.value) == (
        f"inversion.options.{name}.{option} must be {words}, got {value!r}."
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "option"), [("gmi", "foo"), ("log_det", "sigmo")])
def test_an_option_that_nobody_has_is_refused_in_the_run_or_not(name, option):
    settings = study(attacks=["vmi"], options={name: {option: 1}})
    with pytest.raises(UserError, match=f"no option of {name} called '{option}'"):
        prepare_inversion(build_study(settings))


def across(name):
    return {name: {"groups": "across"}}


@pytest.mark.parametrize(
    "inversion",
    [
        {"attacks": ["ked_mi"], "per_label": 3},
        {"attacks": ["vmi"], "per_label": 2},
        {"attacks": ["ked_mi"], "options": {"ked_mi": {"draws": 4}}},
        {"attacks": ["gmi", "lomma"], "per_label": 4},
        {"attacks": ["gmi"], "per_label": 2, "options": across("gmi")},
        {"attacks": ["gmi"], "per_label": 2, "regularizers": ["none", "log_det"]},
        {"attacks": ["vmi"], "options": {"vmi": {"batch": 1}}, "regularizers": ["none"]},
    ],
)
def test_groups_that_are_large_enough_are_taken(inversion):
    prepare_inversion(build_study(study(**inversion)))


@pytest.mark.parametrize(
    ("inversion", "words"),
    [
        (
            {"attacks": ["ked_mi"], "options": {"ked_mi": {"draws": 2}}},
            "hsic .* for ked_mi has 2 images; .* at least 4. Raise inversion.options.ked_mi.draws",
        ),
        (
            {"attacks": ["vmi"], "options": {"vmi": {"batch": 3}}, "regularizers": ["coco"]},
            "coco .* for vmi has 3 images; .* at least 4. Raise inversion.options.vmi.batch",
        ),
        ({"attacks": ["lomma"], "per_label": 3}, "lomma has 3 images.* Raise inversion.per_label"),
        (
            {"attacks": ["ked_mi"], "labels": [0, 1, 2], "options": across("ked_mi")},
            "ked_mi has 3 images.* Raise the number of inversion.labels",
        ),
        (
            {"attacks": ["vmi"], "options": {"vmi": {"batch": 1}}, "regularizers": ["log_det"]},
            "log_det compares the images .* has 1 images; expected at least 2",
        ),
    ],
)
def test_groups_that_are_too_small_name_the_setting_to_raise(inversion, words):
    with pytest.raises(UserError, match=words):
        prepare_inversion(build_study(study(**inversion)))
