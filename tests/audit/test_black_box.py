"""Black-box audits: what is asked of many models, and who can be told from whom."""

import numpy as np
import pytest

import seepage
from seepage.attacks import ATTACKS
from seepage.audit.best import METRICS, best_rows
from seepage.audit.models import prepare_models
from seepage.audit.models_evidence import evidence
from seepage.audit.models_score import model_questions
from seepage.audit.pool import draw_pool, mislabel
from seepage.audit.score import Scored, attack_rows
from seepage.metrics import auc
from seepage.protocols import Attack
from seepage.records import UserError
from seepage.sections import ReferenceSection
from seepage.study import build_study

STUDY = {
    "name": "small",
    "data": {"name": "digits", "clients": 1},
    "model": {"options": {"hidden": [32]}},
    "federation": {
        "rounds": 1,
        "local_epochs": 30,
        "batch_size": 16,
        "learning_rate": 0.1,
        "momentum": 0.9,
    },
    "reference": {"models": 8, "records": 200, "public": 50, "targets": [0, 1, 2]},
    "attacks": {"names": ["loss", "lira_online_fixed", "rmia_online", "rank"]},
}


def study(**changes):
    raw = {key: dict(value) if isinstance(value, dict) else value for key, value in STUDY.items()}
    for key, value in changes.items():
        raw[key] = {**raw.get(key, {}), **value} if isinstance(value, dict) else value
    return build_study(raw)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return seepage.run(study(), out=tmp_path_factory.mktemp("run"))


def rows(result, target="all", block="held_out"):
    return {
        row.name: row
        for row in result.results.attacks
        if (row.target, row.block) == (target, block)
    }


def test_the_leak_of_small_data_is_found(result):
    found = rows(result)
    assert found["lira_online_fixed"].auc > 0.6
    assert found["lira_online_fixed"].auc > found["loss"].auc
    assert result.results.utility.train_accuracy > result.results.utility.test_accuracy
    assert result.results.blind.ok
    assert {row.adversary for row in result.results.attacks} == {"querier"}


def test_every_target_has_rows_and_all_are_pooled(result):
    targets = {row.target for row in result.results.attacks}
    assert targets == {0, 1, 2, "all"}
    pooled = rows(result)["loss"]
    assert pooled.n_members == sum(rows(result, t)["loss"].n_members for t in (0, 1, 2))


def test_chosen_and_oracle_are_told_apart(result):
    for best in result.results.best:
        values = {
            row.name: row.auc if best.metric == "auc" else getattr(row, best.metric)[best.at].value
            for row in result.results.attacks
            if (row.target, row.block) == (best.target, best.block)
        }
        if best.chosen in values:
            assert best.rate.value == values[best.chosen]
        else:  # pooled, with an attack of its own for every target
            assert best.target == "all"
            assert set(best.chosen.split(", ")) <= set(values)
        assert best.oracle_rate.value == max(values.values())
    assert {(b.metric, b.target) for b in result.results.best} == {
        (metric, target)
        for metric in ("tpr_at_fpr", "tnr_at_fnr", "auc")
        for target in (0, 1, 2, "all")
    }


def test_pooled_every_target_is_attacked_by_its_own_choice():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(2, 40)) for name in "ab"}
    scored = [
        Scored(name=name, attack=ATTACKS["loss"], values=each, seconds=np.zeros(2))
        for name, each in values.items()
    ]
    member = rng.random((2, 40)) < 0.5
    asked = list(model_questions(member, [4, 7], np.zeros(40, dtype=bool)))
    ids = np.arange(40)
    chosen = {
        target: {("held_out", metric): name for metric in METRICS}
        for target, name in ((4, "a"), (7, "b"))
    }
    found = best_rows(attack_rows(scored, asked, ids), scored, asked, ids, chosen)
    pooled_area = {(b.target, b.metric): b for b in found}["all", "auc"]
    assert pooled_area.chosen == "a, b"
    placed, held = [], []
    for row, name in enumerate("ab"):
        others = values[name][row][~member[row]]
        placed += [np.mean(others < x) for x in values[name][row][member[row]]]
        held += [(np.mean(others < x) + np.mean(others <= x)) / 2 for x in others]
    assert pooled_area.rate.value == pytest.approx(auc(placed, held))


def test_the_choice_does_not_see_the_target(result):
    """Another truth about the target changes neither its scores nor the attack chosen for it."""
    signals = result.signals
    flipped = signals.copy(deep=True)
    flipped["member"][0] = ~signals["member"][0]
    flipped["member"][1] = ~signals["member"][1]
    names = STUDY["attacks"]["names"]
    one, two = (
        seepage.attack_models(each, attacks=names, targets=[0]) for each in (signals, flipped)
    )
    np.testing.assert_array_equal(one.scores["score"], two.scores["score"])
    assert [b.chosen for b in one.results.best] == [b.chosen for b in two.results.best]
    area = {row.name: row.auc for row in one.results.attacks}
    for row in two.results.attacks:
        assert row.auc == pytest.approx(1 - area[row.name])


def test_arrays_give_the_same_verdict_as_the_run(result, tmp_path):
    names = STUDY["attacks"]["names"]
    again = seepage.attack_models(result.folder, attacks=names, targets=[0, 1, 2])
    assert rows(again)["lira_online_fixed"].auc == rows(result)["lira_online_fixed"].auc
    assert again.results.best == result.results.best
    path = tmp_path / "answers.npz"
    arrays = {name: result.signals[name].to_numpy() for name in ("scaled_logit", "loss", "member")}
    np.savez(
        path,
        model=result.signals["model"],
        sample=result.signals["sample"],
        public=result.signals["public"],
        **arrays,
    )
    plain = seepage.attack_models(path, attacks=["lira_online_fixed"], targets=["all"])
    assert {row.target for row in plain.results.attacks} == {*range(8), "all"}
    assert rows(plain, 1)["lira_online_fixed"].auc == rows(result, 1)["lira_online_fixed"].auc


def test_evidence_hides_the_target_and_drops_its_complement(result):
    shown = evidence(result.signals, 2)
    assert shown.indexes["model"].tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert not shown["member"].sel(model=2).any()
    np.testing.assert_array_equal(
        shown["member"].sel(model=5), result.signals["member"].sel(model=5)
    )
    assert evidence(result.signals, 2, without=[0]).indexes["model"].tolist() == [1, 2, 4, 5, 6, 7]


def test_no_leak_is_chance(tmp_path):
    """Models that learn nothing: every attack within its interval of one half."""
    idle = seepage.run(study(federation={"learning_rate": 1e-9}, attacks={"names": None}, seed=1))
    for name, row in rows(idle).items():
        low, high = row.auc_interval
        assert low - 0.02 <= 0.5 <= high + 0.02, name


def test_a_finished_audit_is_read_back_and_models_are_shared(result, tmp_path, monkeypatch):
    from seepage.reference import Bench

    monkeypatch.setattr(Bench, "fit", lambda *_: pytest.fail("trained again"))
    again = seepage.run(study(), out=result.folder)
    assert again.results == result.results
    other = prepare_models(study(attacks={"names": ["loss"]}))
    from seepage.audit import run_prepared

    shared = run_prepared(other, out=tmp_path / "other", store=result.folder / "models")
    assert rows(shared)["loss"].auc == rows(result)["loss"].auc


@pytest.mark.parametrize(
    "change",
    [
        {"federation": {"momentum": 0.8}},
        {"model": {"options": {"hidden": [33]}}},
        {"defense": {"name": "label_smoothing", "options": {"smoothing": 0.1}}},
        {"data": {"name": "digits", "clients": 2}},
        {"seed": 7},
        {"reference": {"public": 60}},
        {"reference": {"canaries": 10, "canary": "mislabelled"}},
    ],
)
def test_a_changed_setting_never_reuses_a_model(change):
    before, after = prepare_models(study()), prepare_models(study(**change))
    assert not set(before.bench.keys) & set(after.bench.keys)
    assert before.fingerprint != after.fingerprint


def test_more_models_reuse_the_first_ones():
    few, many = prepare_models(study()), prepare_models(study(reference={"models": 12}))
    assert list(many.bench.keys[:8]) == list(few.bench.keys)


def test_changed_data_never_reuses_a_model():
    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    y = np.arange(300) % 3
    first = prepare_models(study(), data=(x, y))
    x[0, 0] += 1
    second = prepare_models(study(), data=(x, y))
    assert not set(first.bench.keys) & set(second.bench.keys)


def test_the_pool_is_dealt_once():
    settings = ReferenceSection(models=6, records=50, public=20, validation=10, canaries=5)
    pool = draw_pool(100, settings, seed=0)
    parts = (pool.ids, pool.public, pool.validation)
    assert [len(part) for part in parts] == [50, 20, 10]
    assert len(np.unique(np.concatenate(parts))) == 80
    assert np.isin(pool.canaries, pool.ids).all()
    assert len(pool.asked) == 70
    with pytest.raises(UserError, match=r"leaves 70; expected 4"):
        draw_pool(100, settings.model_copy(update={"records": 71}), seed=0)
    with pytest.raises(UserError, match="only 50 records in the pool"):
        draw_pool(100, settings.model_copy(update={"canaries": 51}), seed=0)


def test_mislabelled_canaries_have_a_wrong_label_and_nobody_else():
    dataset = seepage.data.load("digits")
    rows_ = np.array([3, 5, 8])
    wrong = mislabel(dataset, rows_, seed=0)
    changed = np.flatnonzero((wrong.labels != dataset.labels).numpy())
    np.testing.assert_array_equal(changed, rows_)
    assert wrong.labels.max() < 10


def test_canaries_stand_in_rows_of_their_own_and_bound_epsilon():
    found = seepage.run(
        study(
            reference={"models": 8, "records": 200, "canaries": 60, "canary": "mislabelled"},
            attacks={"names": ["loss", "lira_online_fixed"]},
        )
    )
    assert {row.block for row in found.results.attacks} == {"held_out", "canaries"}
    plain, canaries = (rows(found, block=block)["loss"] for block in ("held_out", "canaries"))
    assert canaries.auc > plain.auc
    assert canaries.n_members + canaries.n_nonmembers == 3 * 60
    claim = found.results.claim
    assert claim is not None
    assert claim.epsilon is None
    assert claim.lower_bound > 0.5
    assert [run.canaries for run in claim.one_run] == [60] * 3
    assert [run.guesses for run in claim.one_run] == [12] * 3


def test_private_training_shows_claim_and_bound():
    found = seepage.run(
        study(
            defense={"name": "dp_sgd", "options": {"clip": 1.0, "sigma": 1.0}},
            federation={"local_epochs": 2},
            attacks={"names": ["loss"]},
        )
    )
    claim = found.results.claim
    assert claim is not None
    assert claim.ok
    assert 0 < claim.epsilon < 20
    assert claim.lower_bound <= claim.epsilon


def test_noised_updates_are_a_claim_about_clients():
    found = seepage.run(
        study(
            data={"clients": 2},
            defense={"name": "dp_fedavg", "options": {"clip": 0.5, "sigma": 0.5}},
            federation={"rounds": 2},
            attacks={"names": ["loss"]},
        )
    )
    claim = found.results.claim
    assert (claim.unit, claim.against) == ("client", "participant")
    assert claim.epsilon == claim.accountings[0].epsilon > 0
    assert claim.ok == (claim.lower_bound <= claim.epsilon)
    assert len(claim.one_run) == 3


def test_a_bound_above_the_claim_is_an_error(monkeypatch):
    from seepage.audit import claim as stage
    from seepage.training.accountant import Guarantee

    lie = Guarantee(
        epsilon=0.01, delta=1e-5, accountant="wrong", sampling="none", sigma=9.0, steps=1
    )
    monkeypatch.setattr(stage, "_weakest", lambda defense, settings, sizes: lie)
    found = seepage.run(
        study(
            reference={"canaries": 60, "canary": "mislabelled"},
            attacks={"names": ["lira_online_fixed"]},
        )
    )
    assert found.results.claim.lower_bound > 0.01
    assert not found.results.claim.ok


def test_the_final_model_of_a_federation_is_audited():
    found = seepage.run(
        study(
            data={"clients": 3},
            federation={"rounds": 3, "local_epochs": 10},
            defense={"name": "hamp", "options": {"gamma": 0.5, "alpha": 0.01}},
        )
    )
    assert len(rows(found)) == 4
    assert found.results.utility.test_accuracy > 0.5


def test_a_defense_with_a_training_of_its_own_is_refused_in_a_federation():
    selena = {"name": "selena", "options": {"teachers": 3, "left_out": 1}}
    with pytest.raises(UserError, match="in one place"):
        prepare_models(study(data={"clients": 3}, defense=selena))
    with pytest.raises(UserError, match=r"reference\.models"):
        seepage.run({"data": {"name": "digits"}, "defense": selena})


def test_as_many_models_as_an_attack_says_it_takes_are_enough(tmp_path):
    six = study(reference={"models": 6, "targets": [0]}, attacks={"names": ["lira_online"]})
    (row,) = seepage.run(six, out=tmp_path / "six").results.attacks
    assert row.name == "lira_online"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": {"targets": [0, 0]}}, "each model once"),
        ({"reference": {"canaries": 200}}, "no members or no non-members"),
        ({"reference": {"canaries": 1}}, "no members or no non-members"),
        ({"reference": {"queries": 19}}, "18"),
        ({"federation": {"keep": "best"}}, r"reference\.validation"),
        (
            {
                "federation": {"keep": "best"},
                "data": {"clients": 2},
                "reference": {"validation": 20},
            },
            "in one place",
        ),
    ],
)
def test_what_would_fail_after_training_is_refused_before(change, message):
    with pytest.raises(UserError, match=message):
        prepare_models(study(**change))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("perturbation", {"clip": 0.001, "sigma": 1.0}),
        ("weight_noise", {"sigma": 1.0}),
        ("sparsification", {"drop": 0.9}),
        ("quantization", {"bits": 1}),
    ],
)
def test_a_defense_on_what_is_sent_acts_in_one_place_too(name, options, tmp_path):
    from seepage.reference import ModelStore, train_models

    found = {}
    for label, defense in (("none", {}), (name, options)):
        prepared = prepare_models(
            study(defense={"name": label, "options": defense}, federation={"local_epochs": 1})
        )
        store = ModelStore(tmp_path / label)
        train_models(prepared.bench, store, numbers=[0])
        found[label] = store.get(prepared.bench.keys[0]).state
    assert any(not np.allclose(found["none"][k], found[name][k]) for k in found[name])


def test_a_client_that_sends_keeps_the_last_epoch():
    noise = {"name": "weight_noise", "options": {"sigma": 0.1}}
    with pytest.raises(UserError, match="a client keeps the last epoch"):
        prepare_models(
            study(defense=noise, federation={"keep": "best"}, reference={"validation": 20})
        )


def test_an_option_of_ones_own_model_is_part_of_its_name():
    one, two = (
        prepare_models(study(model={"name": "audit.own_model:made", "options": {"sharp": sharp}}))
        for sharp in (1.0, 2.0)
    )
    assert not set(one.bench.keys) & set(two.bench.keys)


def test_records_that_no_client_would_get_are_refused():
    with pytest.raises(UserError, match="would not all be trained on: the clients get 20"):
        prepare_models(study(data={"per_client": 20}))


def test_an_attack_gets_the_inputs_it_can_use():
    """Quantile regression on inputs: with public records it learns from the target's answers."""
    quick = {"federation": {"local_epochs": 2}, "attacks": {"names": ["quantile"]}}
    found = seepage.run(study(reference={"public": 250}, **quick))
    assert found.signals["input"].dims == ("sample", "feature")
    inputs = seepage.data.load("digits").inputs.flatten(1).numpy()
    np.testing.assert_array_equal(found.signals["input"], inputs[found.signals["sample"]])
    own = ATTACKS["quantile"](evidence(found.signals, 0), 0)
    ids = found.scores.query("target == 0")["sample"]
    np.testing.assert_array_equal(
        own.sel(sample=ids.to_numpy()), found.scores.query("target == 0")["score"]
    )
    without = ATTACKS["quantile"](evidence(found.signals.drop_vars("input"), 0), 0)
    assert not np.allclose(own, without)


def test_two_audits_in_one_process_share_nothing():
    """An audit gives the same numbers whether another, different one ran before it or not."""
    names = {"attacks": {"names": ["rmia_offline", "nn", "quantile"]}}
    first = seepage.run(study(**names))
    seepage.run(
        study(seed=9, data={"name": "digits"}, model={"options": {"hidden": [16]}}, **names)
    )
    again = seepage.run(study(**names))
    np.testing.assert_array_equal(first.scores["score"], again.scores["score"])
    assert first.results.best == again.results.best


def test_one_target_alone_has_a_report(tmp_path):
    found = seepage.run(
        study(reference={"targets": [1]}, federation={"local_epochs": 2}), out=tmp_path / "run"
    )
    assert {row.target for row in found.results.attacks} == {1}
    assert (tmp_path / "run" / "report.html").exists()


def test_damaged_files_are_made_again(tmp_path):
    quick = study(federation={"local_epochs": 2}, attacks={"names": ["loss"]})
    first = seepage.run(quick, out=tmp_path / "one")
    models = tmp_path / "one" / "models"
    for path in models.glob("*-*.safetensors"):
        path.write_bytes(b"")
    from seepage.audit import run_prepared

    again = run_prepared(prepare_models(quick), out=tmp_path / "two", store=models)
    assert again.results.attacks[0].auc == first.results.attacks[0].auc


@pytest.mark.parametrize(
    "change",
    [
        {"candidates": {"members": 10}},
        {"observe": {"signals": ["loss"]}},
        {"observe": {"weights": "full"}},
        {"observe": {"draws": 2}},
        {"federation": {"participation": 0.5}},
        {"reference": {"canary": "mislabelled"}},
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(change):
    with pytest.raises(UserError, match="would change nothing in this audit of 8 models"):
        study(**change)


def test_a_private_federation_shows_claim_and_bound():
    found = seepage.run(
        {
            "data": {"clients": 3, "per_client": 60},
            "federation": {"rounds": 3},
            "observe": {"every": 1},
            "defense": {"name": "dp_sgd", "options": {"clip": 1.0, "sigma": 2.0}},
            "attacks": {"names": ["loss_series", "avg_cosine"]},
        }
    )
    claim = found.results.claim
    assert claim is not None
    assert claim.epsilon is not None
    assert claim.lower_bound <= claim.epsilon
    assert claim.steps == 3 * 2  # rounds of two batches of 32 from 60 records


def test_exactly_balanced_files_come_with_a_warning(result):
    from seepage.reference import shuffled

    names = ["lira_online_fixed"]
    assert seepage.attack_models(result.signals, attacks=names, targets=[0]).note is None
    rng = np.random.default_rng(0)
    shape = result.signals["member"].shape
    pool = ~result.signals["public"].to_numpy()
    balanced = shuffled(rng.random(shape)) & pool
    signals = result.signals.assign(member=(("model", "sample"), balanced))
    note = seepage.attack_models(signals, attacks=names, targets=[0]).note
    assert "exactly 4 of the 8 models" in note


def test_attacks_of_the_other_kind_are_refused():
    with pytest.raises(UserError, match="'fedmia_loss' compares clients' uploads"):
        prepare_models(study(attacks={"names": ["fedmia_loss"]}))
    with pytest.raises(UserError, match="'lira_online' compares models"):
        seepage.run({"data": {"name": "digits"}, "attacks": {"names": ["lira_online"]}})


def test_answers_are_what_the_defense_lets_out():
    hamp = {"name": "hamp", "options": {"gamma": 0.5, "alpha": 0.01}}
    quick = {"federation": {"local_epochs": 3}, "attacks": {"names": ["entropy", "rank"]}}
    said = seepage.run(study(defense=hamp, **quick))
    raw = seepage.run(study(defense=hamp, reference={"answers": "logits"}, **quick))
    np.testing.assert_array_equal(said.signals["rank"], raw.signals["rank"])
    assert not np.allclose(said.signals["entropy"], raw.signals["entropy"])


def test_several_queries_are_one_more_dim():
    found = seepage.run(
        study(
            reference={"queries": 4},
            federation={"local_epochs": 2},
            attacks={"names": ["label_only", "lira_online_fixed", "loss"]},
        )
    )
    assert found.signals["correct"].dims == ("model", "sample", "query")
    assert len(rows(found)) == 3


def test_an_attack_of_ones_own_runs_beside_the_others():
    def mine(signals, target):
        return -signals["loss"].sel(model=target, drop=True).astype(np.float64)

    own = Attack(
        score=mine, adversary="querier", needs=("loss",), summary="s", paper="p", over="model"
    )
    found = seepage.run(study(attacks={"names": ["loss"]}), attacks={"mine": own})
    assert rows(found)["mine"].auc == rows(found)["loss"].auc
