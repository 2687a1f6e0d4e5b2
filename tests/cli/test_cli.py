"""The command line: what is printed where, and with which status it leaves."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from seepage import __version__
from seepage.audit.catalog import TABLES
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


def test_a_run_folder_is_attacked_with_its_own_truth(run_folder, tmp_path, capsys):
    asked = ["attack", str(run_folder), "--attack", "loss_series", "--json"]
    found = []
    for truth in ([], ["--truth", str(run_folder / "truth.parquet")]):
        assert leave(*asked, *truth) == 0
        rows = json.loads(capsys.readouterr().out)["attacks"]
        found.append([(row["target"], row["block"], row["auc"]) for row in rows])
    assert found[0] == found[1] != []
    file = tmp_path / "signals.npz"
    assert leave("measure", str(run_folder), "--signal", "loss", "--out", str(file)) == 0
    capsys.readouterr()
    assert leave("attack", str(file)) == 2
    said = capsys.readouterr().err
    assert "a federation's signals: add --truth FILE" in said
    assert "--target-model" not in said
    assert leave("attack", str(file), "--target-model", "0") == 2
    assert "--target-model" in capsys.readouterr().err


def test_folders_that_are_not_one_finished_run_are_told(run_folder, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    shutil.copy(run_folder / "manifest.json", tmp_path / "none")
    assert leave("attack", str(tmp_path / "none")) == 2
    assert "is not finished" in capsys.readouterr().err
    shutil.copy(run_folder / "results.json", tmp_path / "none")
    assert leave("attack", str(tmp_path / "none")) == 2
    assert "holds an inversion" in capsys.readouterr().err
    assert leave("attack", str(tmp_path)) == 2
    assert f"Give the folder of one, such as {tmp_path / 'none'}." in capsys.readouterr().err


@pytest.mark.parametrize("what", TABLES)
def test_list(what, capsys):
    assert leave("list", what, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(value for row in rows for value in row.values())
    assert leave("list", what) == 0
    assert next(iter(rows[0].values())) in capsys.readouterr().out


def test_list_alone_names_the_tables_and_so_does_its_help(capsys):
    assert leave("list") == 0
    assert capsys.readouterr().out.split()[1:] == list(TABLES)
    assert leave("list", "--help") == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"WHAT is {', '.join(list(TABLES)[:-1])} or {list(TABLES)[-1]}." in words


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


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_plain_and_says_what_arguments_are(command, capsys):
    assert leave(command, "-h") == 0
    printed = capsys.readouterr().out
    assert "\\" not in printed
    _, _, arguments = printed.partition("Arguments:\n")
    for line in arguments.partition("\n\n")[0].splitlines():
        assert len(line.replace("[required]", "").split()) > 3


def test_the_version_is_printed(capsys):
    assert leave("--version") == 0
    assert capsys.readouterr().out == f"seepage {__version__}\n"


def test_a_wrong_command_is_suggested_the_right_one_once(capsys):
    assert leave("audti") == 2
    assert capsys.readouterr().err.count("Did you mean") == 1


def test_folders_are_checked_before_any_work(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert leave("audit", "--out", str(tmp_path / "taken")) == 2
    assert "taken is a file; --out names a folder" in capsys.readouterr().err
    assert leave("audit", "--data", str(tmp_path / "gone"), "--dry-run") == 2
    assert "gone: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["import seepage", "import seepage.cli"])
def test_importing_does_no_torch_work(code):
    check = (
        f"{code}; import sys; print([m for m in ('torch', 'xarray', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SMALL = [
    "--set=federation.rounds=1",
    "--set=federation.local_epochs=3",
    "--set=reference.models=6",
    "--set=reference.records=120",
    "--set=reference.public=40",
    "--set=reference.targets=[0,1]",
    '--set=attacks.names=["loss","rank","rmia_online"]',
]


@pytest.fixture(scope="module")
def one_place(tmp_path_factory):
    """A study file of one client, which is training in one place."""
    path = tmp_path_factory.mktemp("study") / "one_place.toml"
    path.write_text('[data]\nname = "digits"\nclients = 1\n')
    return str(path)


def test_shares_of_reference_models_and_then_the_audit(one_place, tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")]
    for index in ("0", "1", "2"):
        assert leave("reference", one_place, *SMALL, *out, "--index", index, "--of", "3") == 0
        assert f"2 models of share {index} of 3" in capsys.readouterr().out
    models = list((tmp_path / "run" / "models").glob("*.safetensors"))
    times = {path: path.stat().st_mtime_ns for path in models}
    assert len(models) == 12  # a file of weights and one of answers each
    assert leave("audit", one_place, *SMALL, *out, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["attacks"]
    assert {row["name"] for row in rows} == {"loss", "rank", "rmia_online"}
    assert {path: path.stat().st_mtime_ns for path in models} == times
    assert leave("attack", str(tmp_path / "run"), "--target-model", "3", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["attacks"]
    assert {row["target"] for row in rows} == {3}
    assert leave("report", str(tmp_path / "run")) == 0


def test_a_dry_run_of_a_black_box_audit(one_place, capsys):
    assert leave("audit", one_place, *SMALL, "--dry-run") == 0
    printed = capsys.readouterr().out
    for word in ("pool", "6 of", "targets", "disk"):
        assert word in printed


def test_a_suite_prints_its_table(tmp_path, capsys):
    arguments = [*SMALL, "--set=reference.validation=20", "--out", str(tmp_path)]
    chosen = ["--dataset", "digits", "--defenses", "none", "--defenses", "label_smoothing"]
    assert leave("suite", "hamp", *chosen, *arguments) == 0
    printed = capsys.readouterr()
    assert "2 defenses on digits" in printed.out
    assert "report.html" in printed.err
    assert leave("report", str(tmp_path)) == 0
    failing = ["--dataset", "digits", "--defenses", "early_stopping_10"]
    arguments = [*SMALL, "--set=reference.validation=20", "--out", str(tmp_path / "other")]
    assert leave("suite", "hamp", *failing, *arguments) == 2
    assert "early_stopping" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reference", "--set=data.clients=2"], "trains no reference models"),
        (
            ["reference", "--recipe", "hamp", *SMALL, "--index", "3", "--of", "2"],
            "an index from 0 to 1",
        ),
        (["attack", "x.npz", "--truth", "t.csv", "--target-model", "0"], "one or the other"),
        (["attack", "nowhere.npz", "--target-model", "0"], "no such signals file"),
    ],
)
def test_wrong_requests_about_models_are_refused(arguments, message, capsys, tmp_path):
    assert leave(*arguments, "--out", str(tmp_path / "run")) == 2
    assert message in capsys.readouterr().err


def test_arrays_over_models_need_members_and_models_that_exist(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = {"model": np.arange(20), "sample": np.arange(50), "loss": rng.random((20, 50))}
    np.savez(tmp_path / "no.npz", **arrays)
    assert leave("attack", str(tmp_path / "no.npz"), "--target-model", "0") == 2
    assert "boolean array member" in capsys.readouterr().err
    np.savez(tmp_path / "yes.npz", member=rng.random((20, 50)) < 0.5, **arrays)
    assert leave("attack", str(tmp_path / "yes.npz"), "--target-model", "20") == 2
    assert "models are numbered 0 to 19" in capsys.readouterr().err
    assert leave("attack", str(tmp_path / "yes.npz"), "--target-model", "all", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["attacks"]
    assert {row["name"] for row in rows} >= {"loss", "calibrated_loss"}
    wrong = ["--attack", "lira_online", "--target-model", "0"]
    assert leave("attack", str(tmp_path / "yes.npz"), *wrong) == 2
    assert "scaled_logit" in capsys.readouterr().err
