"""Studies with an insider: what they allow, what is measured, and what the results say."""

import numpy as np
import pytest
import xarray as xr

import seepage
from seepage.attacks import ATTACKS
from seepage.audit import prepare, redraw_report, run_prepared
from seepage.audit.inside import AT_THE_END, OF_A_ROUND, WHAT_IT_TAKES
from seepage.audit.train import begin_store, train
from seepage.observe import RunStore
from seepage.records import UserError
from seepage.sections import AttackSection
from seepage.study import build_study

GAN = {"clients": [0], "gan": {"active": True, "start": 0.05, "steps": 5, "batch_size": 16}}
PARTICIPANTS = ["declared_label", "declared_label_global", "own_data_only", "user_level_gan"]


def study(**sections):
    """Four clients with labels of their own, on digits: a second."""
    raw = {
        "data": {
            "clients": 4,
            "partition": "disjoint_labels",
            "labels_per_client": [2, 1, 2, 3],
            "per_label": 30,
            "held_out": 300,
        },
        "federation": {"rounds": 6, "batch_size": 20, "local_epochs": 2},
        "observe": {"every": 3},
        "candidates": {"held_out": 100},
        "insider": GAN,
        "seed": 1,
    }
    for name, settings in sections.items():
        both = isinstance(settings, dict) and name in raw and name != "insider"
        raw[name] = raw[name] | settings if both else settings
    return build_study(raw)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return seepage.run(study(), out=tmp_path_factory.mktemp("inside") / "run")


# what a study allows


def test_an_insider_runs_the_attacks_of_a_participant(done):
    ran = {row.name for row in done.results.attacks}
    assert set(PARTICIPANTS) <= ran
    assert {ATTACKS[name].adversary for name in ran} == {"participant"}


def test_without_an_insider_its_attacks_are_not_run(tiny):
    ran = set(prepare(tiny()).attacks)
    assert "source_inference" in ran
    assert not any(set(ATTACKS[name].needs) & set(WHAT_IT_TAKES) for name in ran)


@pytest.mark.parametrize(
    ("name", "insider", "words"),
    [
        ("user_level_gan", {"clients": [0]}, r"reads generated_answer, .* insider\.gan"),
        ("declared_label_global", {}, r"takes an insider: set insider\.clients"),
        ("gradient_ascent", {"clients": [0]}, r"insider\.ascent"),
        ("gradient_ascent_isolating", {"clients": [0]}, r"insider\.ascent\.by = 'server'"),
        ("unmixed_cosine", {"clients": [0]}, r"insider\.attendance = true"),
    ],
)
def test_an_attack_that_takes_more_is_refused_by_name(name, insider, words):
    with pytest.raises(UserError, match=words):
        prepare(study(insider=insider, attacks={"names": [name]}))


@pytest.mark.parametrize("name", ["label", "own_answer", "global_loss"])
def test_a_signal_of_insiders_is_refused_without_one(tiny, name):
    with pytest.raises(UserError, match=f"observe.signals: {name} takes an insider"):
        prepare(tiny(observe={"signals": [name]}))


def test_every_signal_of_insiders_says_what_it_takes_or_is_asked_by_all():
    mine = OF_A_ROUND | AT_THE_END
    assert set(WHAT_IT_TAKES) <= mine
    assert mine - set(WHAT_IT_TAKES) == {"label", "own_answer"}  # any insider has these


def test_its_own_records_are_no_candidates_and_it_is_no_target():
    prepared = prepare(study(insider={"clients": [1, 3]}))
    assert prepared.targets == [0, 2]
    assert set(prepared.truth.owner) == {-1, 0, 2}


def test_ones_own_attack_is_run_beside_those_of_the_table():
    mine = ATTACKS["loss_series"]
    assert prepare(study(), attacks={"mine": mine}).attacks["mine"] is mine


def test_records_that_judge_images_are_found_before_training():
    with pytest.raises(UserError, match="images are judged by records that no client holds"):
        prepare(study(data={"held_out": 20, "per_label": None}, candidates={"held_out": None}))


def test_images_that_cannot_be_drawn_are_refused_before_training():
    odd = np.zeros((200, 1, 9, 9), dtype=np.float32), np.arange(200) % 10
    small = study(
        data={"name": "mine", "labels_per_client": 1, "per_label": 8, "held_out": 100},
        candidates={"held_out": 20},
    )
    with pytest.raises(UserError, match="even sides"):
        prepare(small, data=odd)


def test_an_insider_that_is_away_is_told_before_training():
    away = study(
        insider={"clients": [0], "ascent": {}},
        federation={"participation": 0.25, "rounds": 8},
        observe={"rounds": [1]},
        attacks={"names": ["gradient_ascent"]},
        seed=3,
    )
    with pytest.raises(UserError, match=r"no value|took part in no"):
        prepare(away)


@pytest.mark.parametrize("names", [["avg_cosine"], ["fedmia_joint", "loss_series"]])
def test_updates_of_isolated_clients_are_not_compared_with_gradients(names):
    chosen = climbing("server")
    assert not {"avg_cosine", "fedmia_joint"} & set(prepare(chosen).attacks)
    named = chosen.model_copy(update={"attacks": AttackSection(names=names)})
    with pytest.raises(UserError, match="compares gradients with updates"):
        prepare(named)


def test_a_claim_is_not_refuted_by_who_holds_which_label(done):
    rows = [row for row in done.results.attacks if row.block == "held_out"]
    for row in rows:
        reads_labels = "declared" in ATTACKS[row.name].needs
        assert (row.epsilon_lower_bound is None) == reads_labels


def test_only_an_active_one_has_a_class_of_its_own():
    assert prepare(study()).dataset.classes == 11
    listening = study(insider=GAN | {"gan": {"active": False}})
    assert prepare(listening).dataset.classes == 10


# what is measured


def test_the_end_of_a_run_is_measured_beside_its_rounds(done):
    signals = done.signals
    assert signals["generated_answer"].dims == ("sample", "class")
    assert signals["global_loss"].dims == ("round", "sample")
    assert (done.folder / "signals" / "final.safetensors").exists()
    sums = signals["global_answer"].sum("class")
    np.testing.assert_allclose(sums, 1)
    held = signals["declared"].transpose("client", "class").values
    assert held.sum(1).tolist() == [0, 1, 2, 3]  # of the insider's own nobody need be told
    assert (held.sum(0) <= 1).all()


def test_on_disk_or_in_memory_the_numbers_are_the_same(done):
    again = seepage.run(study())
    xr.testing.assert_identical(again.signals, done.signals)
    for one, other in zip(again.results.attacks, done.results.attacks, strict=True):
        assert one.model_copy(update={"seconds": other.seconds}) == other
    mine, theirs = again.results.users.generated, done.results.users.generated
    assert mine.model_dump(exclude={"seconds"}) == theirs.model_dump(exclude={"seconds"})


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [2, 4])
def test_a_run_that_was_killed_ends_with_the_same_numbers(done, tmp_path, monkeypatch, after):
    monkeypatch.setattr("seepage.observe.recorder.SAVE_EVERY_SECONDS", 0.0)
    prepared, out = prepare(study()), tmp_path / "run"

    def tell(stage, number, total):
        if stage == "training" and number == after:
            raise Killed

    with pytest.raises(Killed):
        train(prepared, begin_store(prepared, out), tell)
    assert RunStore(out).rounds()[-1]["round"] == after
    again = run_prepared(prepared, out=out, draw=False)
    xr.testing.assert_identical(again.signals, done.signals)
    assert again.results.attacks[0].auc == done.results.attacks[0].auc
    mine, theirs = again.results.users.generated, done.results.users.generated
    assert mine.model_dump(exclude={"seconds"}) == theirs.model_dump(exclude={"seconds"})


# what the results say


def test_rows_name_the_victim_what_it_declared_and_the_papers_accuracy(done):
    declared = done.results.users.declared
    rows = [row for row in done.results.attacks if row.name in PARTICIPANTS]
    assert {row.victim for row in rows if row.target != "all"} == {1, 2, 3}
    for row in rows:
        assert row.victim == (None if row.target == "all" else row.target)
        if row.victim is not None:
            assert row.victim_labels == declared[row.victim]
        assert 0 <= row.paper_accuracy <= 1
        assert 0 <= row.false_alarms <= 1
    plain = {r.target: r for r in rows if r.name == "declared_label" and r.block == "others"}
    assert all(row.paper_accuracy == 1 and row.false_alarms == 0 for row in plain.values())


def test_users_say_who_asked_and_how_good_the_images_are(done):
    users = done.results.users
    assert (users.clients, users.federation, users.attendance) == ([0], 4, False)
    made = users.generated
    assert made.active
    assert made.began == made.rounds[0].round <= 3
    assert made.kept == sum(each.n for each in made.classes) > 0
    assert sum(each.n for each in made.rounds) == made.kept
    assert [each.label for each in made.classes if each.held] == users.declared[0]
    assert made.evaluator_accuracy > 0.8
    assert (done.folder / "figures" / "reconstructions.png").exists()


def test_the_report_is_drawn_again_with_its_images(done, tmp_path):
    picture = done.folder / "figures" / "reconstructions.png"
    before = picture.read_bytes()
    picture.unlink()
    assert picture in redraw_report(done.folder)
    assert picture.read_bytes() == before


def test_a_generator_that_never_began_finds_nothing():
    result = seepage.run(study(insider=GAN | {"gan": {"start": 1.0}}))
    assert result.results.users.generated.began is None
    rows = [row for row in result.results.attacks if row.name == "user_level_gan"]
    assert rows
    assert all((r.auc, r.paper_accuracy, r.false_alarms) == (0.5, 0, 0) for r in rows)


# the other insiders


def test_colluding_participants_know_who_takes_part():
    chosen = study(
        insider={"clients": [0, 2], "attendance": True},
        federation={"participation": 0.5, "rounds": 12},
        observe={"every": 1},
    )
    result = seepage.run(chosen)
    assert "unmixed_cosine" in {row.name for row in result.results.attacks}
    there = result.signals["attendance"].dropna("client", how="all")
    assert there["client"].values.tolist() == [1, 3]
    assert result.results.users.clients == [0, 2]


def climbing(by, **insider):
    return study(
        data={"partition": "iid", "per_client": 40, "labels_per_client": 2, "per_label": None},
        insider={**insider, "ascent": {"by": by, "rate": 0.5}},
        candidates={"targets": [1, 2], "held_out": 200},
        federation={"rounds": 8, "local_epochs": 8, "learning_rate": 0.2},
        observe={"rounds": [2, 4, 6, 8]},
    )


def test_a_participant_raises_what_nobody_holds_more_than_what_somebody_does():
    result = seepage.run(climbing("participant", clients=[0]))
    signals, owner = result.signals, result.truth.owner
    rise = (signals["global_loss"] - signals["start_loss"]).mean("round")
    assert rise[owner >= 0].mean() < rise[owner < 0].mean()
    row = next(r for r in result.results.attacks if r.name == "gradient_ascent")
    assert row.victim == 1
    assert result.results.users.generated is None


def test_an_isolating_server_finds_its_targets_records():
    result = seepage.run(climbing("server"))
    dealt = result.signals["dealt_loss"]
    there = dealt.notnull().all(["sample", "round"])
    assert dealt["client"][there].values.tolist() == [1, 2]  # nobody else was dealt anything
    rows = {(row.name, row.block): row for row in result.results.attacks if row.target == "all"}
    assert rows["gradient_ascent_isolating", "held_out"].auc > 0.7
    assert rows["gradient_ascent_isolating", "others"].auc > 0.7
    assert result.results.users is None


# whose record it is, asked by a server


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_server_names_the_owner_of_what_was_learned_by_heart_and_not_before(tiny, seed):
    """Chance on models that were not trained, far above it on models that over-fit."""

    def source(**federation):
        chosen = tiny(federation=federation, seed=seed, attacks={"names": ["source_inference"]})
        return seepage.run(chosen).results.source

    untrained = source(learning_rate=1e-9)
    assert untrained.accuracy < untrained.chance + 0.12  # 120 records: three deviations
    learned = source(rounds=8, local_epochs=30, learning_rate=0.3)
    assert learned.chance == 0.25
    assert learned.interval[0] > learned.chance + 0.1
