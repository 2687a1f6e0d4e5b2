"""A privacy claim beside what the attacks found."""

import pytest
from made_up_models import claim, make_results, make_scores, pool
from test_many_models import changed, page_of, printed

import seepage.report.write as write
from seepage.report.claim import alarm, bar, claimed, epsilons, found, meaning, sentence, short
from seepage.report.noise import sentence as noise_sentence
from seepage.results import Claim, NoiseCheck


@pytest.fixture(scope="module")
def scores():
    return make_scores(pool(models=4))


@pytest.fixture(scope="module")
def results(scores):
    return make_results(scores)


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(write, "all_figures", lambda *args: [])


@pytest.mark.usefixtures("no_figures")
def test_a_refuted_claim_is_an_error_above_everything(tmp_path, results, scores):
    words = "ower bound 5.10 is above the claimed ε = 4.00: the implementation or the claim is"
    refuted = changed(results, claim=claim(4.0, 5.1))
    page = page_of(tmp_path, refuted, scores)
    assert any(attrs.get("role") == "alert" for _, attrs in page.tags)
    assert page.text.index(words) < page.text.index("can name")
    text = " ".join(printed(refuted).split())
    assert text.startswith("ERROR: Lower bound 5.10 is above the claimed ε = 4.00")


@pytest.mark.usefixtures("no_figures")
def test_a_claim_that_stands_is_told_in_full(tmp_path, results, scores):
    page = page_of(tmp_path, changed(results, claim=claim()), scores)
    assert not any(attrs.get("role") == "alert" for _, attrs in page.tags)
    for words in ("ε = 4.00 at δ = 1e-05", "ε at least 1.20", "rdp", "poisson", "3,000"):
        assert words in page.text
    assert "The largest 5 of 8." in page.text
    assert page.text.index("model 7 lira 600 120 87 0.70") < page.text.index("model 6 lira")
    assert "model 2 lira" not in page.text
    line = "claim: ε = 4.00 at δ = 1e-05 (rdp; sampling: poisson; effective noise 1.1; 3,000 steps)"
    assert line in " ".join(printed(changed(results, claim=claim())).split())


def test_claims_in_words():
    assert alarm(None) == alarm(Claim(**claim(4.0, 4.0))) == ""
    assert "bound 4.001 is above the claimed ε = 4.000" in alarm(Claim(**claim(4.0, 4.001)))
    none = Claim(**claim(None, 5.0))
    assert alarm(none) == ""
    assert claimed(none) == "no finite ε at δ = 1e-05"
    assert "found: ε at least 5.00" in sentence(none)
    assert bar(none) is None
    drawn = bar(Claim(**claim(4.0, 2.0)))
    assert drawn["found"] * 2 == pytest.approx(drawn["claimed"], abs=0.02)
    assert epsilons(1.0, 1.0) == ["1.00", "1.00"]


def counted(epsilon, holds=True, noise=0.5, against="participant", **over):
    return {
        "accountant": "PLD",
        "sampling": "none: every round counts",
        "relation": "one client's data replaced",
        "against": against,
        "noise": noise,
        "steps": 300,
        "epsilon": epsilon,
        "delta": 1e-5,
        "holds": holds,
    } | over


def about_clients(**over):
    others = [
        counted(12.4, False, 1.0, "querier", sampling="Poisson, q = 0.1", accountant="PLD"),
        counted(231.04, True, 1.0, accountant="RDP", relation="one client's change set to zero"),
    ]
    base = claim(748.0, 0.0, one_run=0) | {
        "unit": "client",
        "against": "participant",
        "attacks": 2,
        "accountant": "PLD, one client's data replaced",
        "accountings": [counted(748.0), *others],
    }
    return base | over


@pytest.mark.usefixtures("no_figures")
def test_every_epsilon_stands_with_what_it_assumes(tmp_path, results, scores):
    told = changed(results, claim=about_clients())
    page = page_of(tmp_path, told, scores).text
    for row in (
        "748 PLD one client's data replaced none: every round counts 0.5 300 a participant yes",
        "231 RDP one client's change set to zero none: every round counts 1 300 a participant yes",
        "12.40 PLD one client's data replaced Poisson, q = 0.1 1 300 anyone who may query the "
        "final model no",
    ):
        assert row in page
    assert "all of a client's data, against a participant" in page
    lines = [" ".join(line.split()) for line in printed(told, width=140).splitlines()]
    at = lines.index("231 RDP change set to zero none: every round counts 1 participant yes")
    assert lines[at + 1] == "12.40 PLD data replaced Poisson, q = 0.1 1 querier no"
    assert not any(line.startswith("748 PLD") for line in lines)  # it is the claim itself
    assert "for all of a client's data, against a participant (PLD, one client's data" in " ".join(
        lines
    )


def test_a_claim_that_no_attack_may_test_is_not_called_confirmed():
    untested = Claim(**about_clients(attacks=0))
    assert meaning(untested).startswith("Nothing here tests the claim")
    assert found(untested).startswith("nothing")
    assert meaning(Claim(**about_clients())).startswith("The claim stands")
    refuted = Claim(**about_clients(lower_bound=800.0, ok=False))
    assert "changes that are not clipped" in meaning(refuted)


def test_an_epsilon_among_others_is_short():
    assert [short(x) for x in (None, 12.399, 231.558, 1218.92)] == ["none", "12.40", "232", "1,219"]


def noise_row(number, of, found, ok=True, **over):
    return {
        "round": number,
        "of": of,
        "norm": 0.4,
        "factor": 0.5,
        "factor_found": 0.51,
        "factor_expected": (0.4, 0.6),
        "deviation": 0.02,
        "deviation_found": found,
        "expected": (0.0194, 0.0206),
        "weight": 0.25,
        "weight_found": 0.25,
        "ok": ok,
    } | over


GOOD = {"ok": True, "error": 1e-3, "problems": []} | {
    "rows": [noise_row(t, k, 0.02 + 8e-6 * k) for t in (2, 4) for k in range(4)]
}
FAULT = "client 3's noise in round 4 has deviation 0.01 where 0.02 is configured: 0.5 of it."
BAD = {"ok": False, "error": 1e-3, "problems": [FAULT]} | {
    "rows": [*GOOD["rows"], noise_row(4, 4, 0.01, ok=False, factor=1.0, weight_found=None)]
}


@pytest.mark.usefixtures("no_figures")
def test_noise_that_was_not_added_is_an_error_above_everything(tmp_path, results, scores):
    wrong = changed(results, noise=BAD, claim=claim())
    page = page_of(tmp_path, wrong, scores)
    assert any(attrs.get("role") == "alert" for _, attrs in page.tags)
    said = FAULT[0].upper() + FAULT[1:]
    assert page.text.index(said) < page.text.index("can name")
    assert "The claim stands" not in page.text
    row = "4 client 4 0.4 as it is 0.51 0.4 to 0.6 0.02 0.01 0.0194 to 0.0206 0.25 cannot be told"
    assert page.text.index(row + " off") < page.text.index("2 client 3")  # what is wrong first
    text = " ".join(printed(wrong).split())
    assert text.startswith(f"ERROR: {said}")
    assert "noise: 9 rows checked, 1 off; deviation found over configured 0.500 to 1.001" in text


@pytest.mark.usefixtures("no_figures")
def test_noise_that_was_added_is_told_calmly(tmp_path, results, scores):
    page = page_of(tmp_path, changed(results, noise=GOOD), scores)
    assert not any(attrs.get("role") == "alert" for _, attrs in page.tags)
    assert "The noise really added" in page.text
    assert (
        "They are what was configured. A run that does what is configured is accused once in 1,000"
        in page.text
    )
    assert "The 6 furthest off of 8; results.json has them all." in page.text
    assert "noise really added" not in page_of(tmp_path, results, scores).text.lower()


def test_noise_in_a_line():
    line = noise_sentence(NoiseCheck.model_validate(GOOD))
    assert line == (
        "noise: 8 rows checked, as configured; deviation found over configured 1.000 to 1.001, "
        "added by the clients; 8 of 8 changes clipped"
    )
    server = noise_row(2, "server", 0.02, weight=None, weight_found=None)
    clients = [noise_row(2, k, 1e-9, deviation=0.0, expected=(0.0, 1e-8)) for k in range(3)]
    central = NoiseCheck.model_validate(GOOD | {"rows": [*clients, server]})
    assert "configured 1.000, added by the server; 3 of 3 changes" in noise_sentence(central)
    silent = NoiseCheck.model_validate(GOOD | {"rows": clients})
    assert "; none is configured; " in noise_sentence(silent)
