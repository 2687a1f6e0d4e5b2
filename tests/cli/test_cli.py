"""The command line: what is printed where, and with which status it leaves."""

import json
import subprocess
import sys

import numpy as np
import pytest

from seepage.cli import app, main
from seepage.results import Results

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)
TINY = [
    "--set=data.clients=4",
    "--set=data.per_client=30",
    "--set=federation.rounds=2",
    "--set=observe.every=1",
    "--set=observe.weights=half",
]


def leave(*arguments):
    with pytest.raises(SystemExit) as status:
        main(list(arguments))
    return status.value.code


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert leave("audit", *TINY, "--out", str(folder)) == 0
    return folder


def test_audit_prints_the_table_and_says_where_the_report_is(run_folder, capsys):
    assert leave("audit", *TINY, "--out", str(run_folder)) == 0
    printed = capsys.readouterr()
    assert "fedmia_loss" in printed.out
    assert "chance" in printed.out
    assert f"{run_folder}/report.html" in printed.err


def test_json_on_stdout_is_results_json(run_folder, capsys):
    assert leave("audit", *TINY, "--out", str(run_folder), "--json") == 0
    printed = capsys.readouterr().out
    assert Results.model_validate_json(printed)
    assert json.loads(printed) == json.loads((run_folder / "results.json").read_text())


def test_dry_run_prints_counts_and_writes_nothing(tmp_path, capsys):
    assert leave("audit", *TINY, "--out", str(tmp_path / "run"), "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "9,610 parameters" in printed
    for word in ("steps", "memory", "disk", "candidates"):
        assert word in printed
    assert not (tmp_path / "run").exists()


def test_attack_and_measure_and_report(run_folder, tmp_path, capsys):
    signals = tmp_path / "signals.npz"
    assert leave("measure", str(run_folder), "--signal", "loss", "--out", str(signals)) == 0
    truth = run_folder / "truth.parquet"
    arguments = ["--truth", str(truth), "--attack", "fedmia_loss", "--target", "0", "--json"]
    capsys.readouterr()
    assert leave("attack", str(signals), *arguments) == 0
    rows = json.loads(capsys.readouterr().out)["attacks"]
    assert {(row["name"], row["target"]) for row in rows} == {("fedmia_loss", 0)}
    assert leave("report", str(run_folder)) == 0
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    "what", ["attacks", "datasets", "defenses", "models", "recipes", "signals"]
)
def test_list(what, capsys):
    assert leave("list", what, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(value for row in rows for value in row.values())
    assert leave("list", what) == 0
    assert next(iter(rows[0].values())) in capsys.readouterr().out


def test_doctor(capsys):
    assert leave("doctor") == 0
    printed = capsys.readouterr().out
    for word in ("torch", "cores", "digits"):
        assert word in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "nothing.toml"], "no such study file"),
        (["audit", "--set", "federation.round=3"], "did you mean federation.rounds?"),
        (["audit", "--set", "data.clients=0"], "data.clients = 0"),
        (["audit", "--recipe", "fedmai"], "did you mean fedmia?"),
        (["attack", "nothing.npz", "--truth", "truth.csv"], "no such signals file"),
        (["measure", "nothing"], "not a run folder"),
        (["report", "nothing"], "no results.json"),
        (["list", "attack"], "did you mean attacks?"),
    ],
)
def test_bad_input_is_a_sentence_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leave(*arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not printed.out
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="no such study file"):
        main(["audit", "nothing.toml", "--debug"])


def test_a_fault_of_ours_is_status_1(monkeypatch, capsys):
    monkeypatch.setattr("seepage.audit.examine", lambda *_: 1 / 0)
    assert leave("doctor") == 1
    assert "fault of Seepage" in capsys.readouterr().err


def test_a_foreign_signals_file_is_status_2(tmp_path, capsys):
    np.savez(tmp_path / "s.npz", loss=np.zeros(3))
    (tmp_path / "t.csv").write_text("sample,owner\n1,0\n")
    assert leave("attack", str(tmp_path / "s.npz"), "--truth", str(tmp_path / "t.csv")) == 2
    assert "has no sample ids" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert leave(command, "--help") == 0
    printed = capsys.readouterr().out
    assert f"Example: seepage {command}" in " ".join(printed.split())


@pytest.mark.parametrize("code", ["import seepage", "import seepage.cli"])
def test_importing_does_no_torch_work(code):
    check = (
        f"{code}; import sys; print([m for m in ('torch', 'xarray', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
