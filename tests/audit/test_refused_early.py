"""What can be known before any training is refused there, and a failed run leaves no claim."""

import json

import pytest
import torch
from torch import nn

import seepage
from seepage.audit import prepare
from seepage.audit.claimed_folder import release
from seepage.audit.loading import check_rates
from seepage.observe import RunStore
from seepage.records import UserError


def in_one_place(tiny, **reference):
    return tiny(
        data={"clients": 1, "per_client": None, "held_out": None},
        federation={"rounds": 1},
        reference={"models": 6, "records": 120, **reference},
    )


@pytest.mark.parametrize("nonmembers", [1, 3, 7, 49, 80, 99, 333, 12345])
def test_the_rate_that_is_named_is_taken(nonmembers):
    check_rates([1 / nonmembers], nonmembers)
    with pytest.raises(UserError, match="Ask for fpr >= ") as refusal:
        check_rates([0.5 / nonmembers], nonmembers)
    named = float(str(refusal.value).split("fpr >= ")[1].split(",")[0])
    check_rates([named], nonmembers)
    assert 1 / nonmembers <= named <= 1.1 / nonmembers


@pytest.mark.parametrize(
    ("defense", "words"),
    [
        ({"name": "dp_sgd+mixup", "options": {"dp_sgd": {"sigma": 1.0}}}, "changes batches"),
        ({"name": "sampling", "options": {"share": 0.01}}, "less than one"),
    ],
)
def test_a_training_that_cannot_begin_is_refused_beforehand(tiny, defense, words):
    with pytest.raises(UserError, match=words):
        prepare(tiny(defense=defense))
    with pytest.raises(UserError, match=words):
        prepare(in_one_place(tiny).model_copy(update={"defense": tiny(defense=defense).defense}))


def test_a_model_whose_samples_cannot_be_told_apart_is_refused_beforehand(tiny):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.row, self.last = nn.Linear(8, 2), nn.Linear(16, 10)

        def forward(self, x):
            return self.last(self.row(x.reshape(-1, 8)).reshape(len(x), -1))

    defense = {"name": "dp_sgd", "options": {"sigma": 1.0}}
    with pytest.raises(UserError, match="layer 'row' gives an output"):
        prepare(tiny(defense=defense, model={"options": {}}), model=Rows)


@pytest.mark.parametrize("options", [{"sparse": True}, {"max_norm": 1.0}])
def test_a_table_that_cannot_be_trained_or_asked_is_refused_beforehand(tiny, options):
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.last = nn.Embedding(2, 3, **options), nn.Linear(192, 10)

        def forward(self, x):
            return self.last(self.table((x > 0).long()).flatten(1))

    with pytest.raises(UserError, match=f"layer 'table' .* {next(iter(options))}"):
        prepare(tiny(model={"options": {}}), model=Looked)


@pytest.mark.parametrize("name", ["memguard", "advreg"])
def test_a_defense_without_its_public_records_is_refused_beforehand(tiny, name):
    defense = tiny(defense={"name": name}).defense
    without = in_one_place(tiny).model_copy(update={"defense": defense})
    with pytest.raises(UserError, match=r"reference\.public"):
        prepare(without)
    prepare(in_one_place(tiny, public=30).model_copy(update={"defense": defense}))


def test_making_ready_leaves_the_first_weights_and_the_mode(tiny):
    plain = prepare(tiny()).model
    private = prepare(tiny(defense={"name": "dp_sgd", "options": {"sigma": 1.0}})).model
    assert private.training == plain.training
    for ours, theirs in zip(private.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.grad is None


def diverging(tiny):
    return tiny(federation={"learning_rate": 1e30, "rounds": 4})


def test_a_run_that_fails_before_its_first_round_leaves_no_folder(tiny, tmp_path):
    with pytest.raises(UserError, match="diverged"):
        seepage.run(diverging(tiny), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_in_the_folder_stays(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="diverged"):
        seepage.run(diverging(tiny), out=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_committed_rounds_stay(tiny, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("training", 2):
            raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        seepage.run(tiny(), out=tmp_path, progress=stop)
    assert [line["round"] for line in RunStore(tmp_path).rounds()] == [2]


def test_another_run_that_took_the_folder_keeps_it(tmp_path):
    text = json.dumps({"schema": 1, "fingerprint": "theirs"})
    (tmp_path / "manifest.json").write_text(text)
    release(RunStore(tmp_path), "ours")
    assert (tmp_path / "manifest.json").read_text() == text
