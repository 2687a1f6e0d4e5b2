"""The strict door: what is wrong in a study is named with a way out."""

import pytest

from seepage.records import UserError
from seepage.study import Study, build_study, load_study


def test_every_section_has_a_default():
    assert build_study({}) == Study()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"dta": {}}, r"dta: no such setting; did you mean data\?"),
        ({"data": {"client": 3}}, r"did you mean data\.clients\?"),
        ({"data": {"zzz": 3}}, "known here: name, clients"),
        ({"data": {"clients": 0}}, r"data\.clients = 0: .*greater than or equal to 1"),
        ({"data": {"clients": "3"}}, r"data\.clients = '3': .*valid integer"),
        ({"federation": {"momentum": 1.0}}, r"federation\.momentum = 1\.0: .*less than 1"),
        ({"federation": {"optimizer": "adagrad"}}, "'sgd', 'adam' or 'adamw'"),
        ({"federation": {"learning_rate": float("inf")}}, "finite"),
        ({"candidates": {"targets": [10]}}, "there is no client 10; clients are numbered 0 to 9"),
        ({"observe": {"rounds": [101]}}, "round 101 is after the last, 100"),
        ({"data": {"partition": "sizes"}}, "one size for each of the 10 clients, got none"),
        ({"schema_version": 2}, "newer than this version"),
        ({"metrics": {"fpr": [0.0]}}, "greater than 0"),
        ({"metrics": {"fpr": 0.1}}, r"expected a list such as \[0\.1\]$"),
        (
            {"attacks": {"names": "foo"}},
            r"attacks\.names = 'foo': expected a list such as \[\"foo\"\]$",
        ),
        ({"candidates": {"targets": "some"}}, r"targets = 'some': expected a list$"),
        ({"federation": 5}, r"= 5: federation is a table of settings; use federation\.KEY=VALUE$"),
        ({"inversion": 5}, r"use inversion\.KEY=VALUE$"),
    ],
)
def test_a_wrong_setting_is_named(raw, message):
    with pytest.raises(UserError, match=message):
        build_study(raw)


@pytest.mark.parametrize(
    ("rounds", "every", "observed"), [(100, 30, [30, 60, 90]), (5, 10, [5]), (3, 1, [1, 2, 3])]
)
def test_observed_rounds(rounds, every, observed):
    raw = {"federation": {"rounds": rounds}, "observe": {"every": every}}
    assert build_study(raw).observed_rounds == observed


def test_rounds_one_by_one_are_sorted_and_unique():
    assert build_study({"observe": {"rounds": [9, 3, 9]}}).observed_rounds == [3, 9]


def test_a_file_is_read_and_named_in_errors(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[federation]\nrounds = 7\n")
    assert load_study(path).federation.rounds == 7
    path.write_text("[federation]\nround = 7\n")
    with pytest.raises(UserError, match=r"mine\.toml: federation\.round: .*rounds"):
        load_study(path)
    path.write_text("[federation\n")
    with pytest.raises(UserError, match="not a TOML file"):
        load_study(path)
    with pytest.raises(UserError, match="no such study file"):
        load_study(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("s.yaml", b"a: 1\n", "Studies are TOML files"),
        ("s.json", b"{}", "Studies are TOML files"),
        ("s.toml", b"\xff\xfe\x00\x80", "nor any text. Give the path of a TOML file.$"),
        ("s.toml", b"a: 1\n", "at line 1, column 2.*Mend that line.$"),
        ("s.toml", b"a = [1", "at end of document.*Mend it there.$"),
    ],
)
def test_what_is_no_toml_file_is_told_how(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        load_study(tmp_path / name)


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(UserError, match="a folder, and no study file"):
        load_study(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=f"`seepage report {tmp_path}` draws"):
        load_study(tmp_path)
