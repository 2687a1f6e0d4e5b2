"""The command `sweep`: what is printed where, and with which status it leaves."""

import json
from importlib import import_module

import pytest

from seepage.cli import main
from seepage.results import SweepResults

TINY = [
    "--recipe=digits",
    "--set=data.clients=3",
    "--set=data.per_client=20",
    "--set=data.held_out=40",
    "--set=federation.rounds=1",
    "--set=observe.every=1",
    '--set=attacks.names=["loss_series"]',
    "--set=defense.name=perturbation",
    "--set=defense.options.clip=1.0",
    "--jobs=1",
]


def leave(*arguments):
    with pytest.raises(SystemExit) as status:
        main(list(arguments))
    return status.value.code


def test_a_sweep_prints_its_table_and_says_where_its_page_is(tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    grids = ["--grid=defense.sigma=0.0,0.1", "--seeds=2", "--seed=4"]
    assert leave("sweep", *TINY, *grids, "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "σ=0.1" in printed.out
    assert "digits on digits: 4 runs, 1 side by side" in printed.err
    assert f"{out}/report.html" in printed.err
    assert (out / "report.html").exists()
    place = import_module("seepage.audit.sweep_run")  # once drawn is enough
    monkeypatch.setattr(place, "write_sweep", lambda out, _, about: [out / "report.html"])
    assert leave("sweep", *TINY, *grids, "--out", str(out), "--json") == 0
    results = SweepResults.model_validate_json(capsys.readouterr().out)
    assert results.seeds == [4, 5]
    assert results.grid == {"perturbation": {"defense.options.sigma": [0.0, 0.1]}}
    assert json.loads((out / "results.json").read_text())["kind"] == "sweep"
    assert leave("report", str(out)) == 0
    assert "report.html" in capsys.readouterr().out
    one = next((out / "points").iterdir())
    assert leave("report", str(one)) == 0
    assert (one / "report.html").exists()


def test_a_point_that_fails_is_status_2_and_the_rest_stands(tmp_path, capsys):
    out = tmp_path / "run"
    grid = "--grid=data.held_out=40,4000"
    assert leave("sweep", *TINY, "--set=defense.options.sigma=0", grid, "--out", str(out)) == 2
    assert "wrote" in capsys.readouterr().err
    results = SweepResults.model_validate_json((out / "results.json").read_bytes())
    assert (len(results.points), len(results.failures)) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid=defense.sigmo=1"], "did you mean sigma?"),
        (["--grid=defense.sigma=0.1,-1"], "sigma"),
        (["--grid=defense.sigma"], "expected section.key=V1,V2"),
        (["--grid=federation.round=1,2"], "did you mean federation.rounds?"),
        (["--grid=data.beta=1.0", "--grid=data.beta=2.0"], "given twice"),
        ([], "no series to sweep"),
    ],
)
def test_bad_input_is_a_sentence_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leave("sweep", *TINY, *arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out
    assert not list(tmp_path.iterdir())
