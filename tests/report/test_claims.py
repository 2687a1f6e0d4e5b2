"""A privacy claim beside what the attacks found."""

import pytest
from made_up_models import claim, make_results, make_scores, pool
from test_many_models import changed, page_of, printed

import seepage.report.write as write
from seepage.report.claim import alarm, bar, claimed, epsilons, sentence
from seepage.results import Claim


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
    line = "claim: ε = 4.00 at δ = 1e-05 (rdp, poisson sampling, noise 1.1, 3,000 steps)"
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
