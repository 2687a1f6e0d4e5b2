"""What is said of a curious participant, for figures given by hand."""

import io
import re

import pytest
from made_up_study import plain_results
from made_up_study import row as plain_row
from made_up_users import DECLARED, STUDY, generated, source, users
from rich.console import Console

from seepage.attacks import ATTACKS
from seepage.report import terminal_table
from seepage.report.users import (
    STANDS_IN,
    WITH,
    beside,
    decided,
    findings,
    first_findings,
    leading_block,
    leading_rows,
    subject,
)
from seepage.report.users_words import insiders, introduction, overlap, shared_labels
from seepage.results import AttackRow, Users


def row(name, auc, interval, paper=0.8, wrong=0.04, **over):
    """One row of an attack that decides, all victims pooled, against other clients' records."""
    own = {"block": "others", "paper_accuracy": paper, "false_alarms": wrong}
    return plain_row(auc, interval, name=name, adversary="participant", **(own | over))


GAN = row("user_level_gan", 0.969, (0.96, 0.978))
GLOBAL = row("declared_label_global", 0.999, (0.998, 1.0), 0.98, 0.008)
OWN = row("own_data_only", 0.6, (0.57, 0.63), 0.1, 0.05)
LABEL = row("declared_label", 1.0, (1.0, 1.0), 1.0, 0.0)


def results_of(rows, **over):
    return plain_results(rows, **({"study": STUDY, "users": users()} | over))


def compared(plain, attack, level=0.95):
    return beside(AttackRow.model_validate(plain), AttackRow.model_validate(attack), level)


def test_every_baseline_of_the_table_has_words_and_no_other():
    assert set(STANDS_IN) == {name for name, attack in ATTACKS.items() if attack.stands_in}
    assert set(WITH) <= {name for name, attack in ATTACKS.items() if attack.decide}
    assert not set(WITH) & set(STANDS_IN)


def test_the_finding_names_who_how_many_and_by_what():
    rows = [GAN, *(GAN | {"target": k, "victim": k, "victim_labels": [k]} for k in (1, 2))]
    (found,) = findings(results_of(rows))
    assert found.sentence == (
        "Client 0 marks 80.0 % of a victim’s records as the victim’s, and 4.0 % of other "
        "participants’ records: user_level_gan, 2 victims pooled, AUC 0.969 [0.960, 0.978]."
    )


def test_a_baseline_as_good_says_that_the_generator_adds_nothing():
    found = compared(GLOBAL, GAN)
    assert found.equal
    assert found.sentence == (
        "The global model alone does better (AUC 0.999 against 0.969): the generator adds nothing "
        "to whose record it is. Without, 98.0 % of the victim’s records are marked, and with it "
        "80.0 %; of the others’ 0.8 % and 4.0 %; AUC 0.999 [0.998, 1.000] and 0.969 [0.960, 0.978]."
    )


@pytest.mark.parametrize(
    ("auc", "interval", "paper", "says"),
    [
        (0.98, (0.979, 0.99), 0.8, "does better"),
        (0.98, (0.97, 0.99), 0.8, "does as well (AUC"),
        (0.95, (0.935, 0.965), 0.8, "does as well within the intervals"),
        (0.95, (0.935, 0.965), 0.76, "ranks records as well (AUC 0.950 against 0.969), but marks"),
        (0.95, (0.941, 0.959), 0.8, "marks as many, but ranks records worse"),
        (0.95, (0.941, 0.959), 0.76, "does worse"),
    ],
)
def test_words_follow_both_intervals(auc, interval, paper, says):
    # The attack's interval is [0.96, 0.978]; 0.8 of 1,000 records gives [0.774, 0.824].
    found = compared(row("own_data_only", auc, interval, paper), GAN)
    assert says in found.headline
    assert ("adds nothing" in found.detail) == found.equal
    assert ("the generator tells more than that." in found.detail) != found.equal
    assert found.equal == (interval[1] >= 0.96)


@pytest.mark.parametrize(("paper", "enough"), [(0.7735, False), (0.7745, True)])
def test_the_share_of_records_is_compared_by_clopper_and_pearson(paper, enough):
    # 800 of 1,000: [0.77388, 0.82437] at 95 %, by the quantiles of the beta distribution.
    same = row("own_data_only", 0.969, (0.96, 0.978), paper)
    assert ("does as well" in compared(same, GAN).headline) == enough


def test_aucs_that_round_alike_and_differ_are_told_apart():
    near = row("own_data_only", 0.9692, (0.96, 0.978))
    assert "(AUC 0.96920 against 0.96900)" in compared(near, GAN).headline


def test_the_baselines_come_in_order_and_a_stronger_attack_last():
    rows = [LABEL, OWN, row("unmixed_cosine", 0.98, (0.97, 0.99), 0.5, 0.1), GLOBAL, GAN]
    found = findings(results_of(rows))
    assert [each.headline.split(" (")[0] for each in found[1:]] == [
        "The global model alone does better",
        "A classifier of the insider’s own records alone does worse",
        "The record’s own label, without any model, does better",
        "Of the other attacks, unmixed_cosine ranks records best",
    ]
    assert found[4].detail == (
        "AUC 0.980 [0.970, 0.990]; it marks 50.0 % of the victim’s records, with 10.0 % false "
        "alarms."
    )


@pytest.mark.parametrize(("low", "guess"), [(0.5, True), (0.501, False)])
def test_an_attack_at_chance_says_so_and_how_many_it_marks_means_nothing(low, guess):
    weak = row("user_level_gan", 0.53, (low, 0.56), 0.9, 0.85)
    first, second = findings(results_of([weak, OWN | {"auc_interval": (0.55, 0.63)}]))
    assert first.detail.endswith("That is no better than guessing.") == guess
    assert ("but marks fewer" in second.headline) != guess
    assert second.equal


def test_little_room_goes_to_the_baseline_that_does_as_well():
    first = first_findings(results_of([GAN, GLOBAL, OWN, LABEL]))
    assert [each.headline[:18] for each in first] == ["Client 0 marks 80.", "The global model a"]
    weak = GLOBAL | {"auc": 0.5, "auc_interval": (0.4, 0.6), "paper_accuracy": 0.1}
    first = first_findings(results_of([GAN, weak, OWN, LABEL]))
    assert first[1].headline.startswith("The record’s own label")
    first = first_findings(results_of([GAN, weak, OWN]))
    assert first[1].headline.startswith("The global model alone does worse")


def test_without_a_generator_the_strongest_attack_speaks():
    other = row("global_loss_series", 0.55, (0.5, 0.6))
    found = findings(results_of([other, GLOBAL]))
    assert "global_loss_series" in found[0].detail
    assert "global_loss_series adds nothing to whose record it is" in found[1].detail
    (only,) = findings(results_of([GLOBAL]))
    assert only.headline.startswith("Client 0 marks 98.0 %")


def test_other_participants_records_speak_before_those_of_nobody():
    held = GAN | {"block": "held_out", "false_alarms": 0.5}
    results = results_of([held, GAN])
    assert leading_block(results) == "others"
    assert [row.false_alarms for row in leading_rows(results, "others")] == [0.04]
    (found,) = findings(results_of([held]))
    assert "and 50.0 % of records nobody trained on" in found.headline
    assert leading_block(results_of([plain_row()])) is None
    assert findings(results_of([plain_row()])) == []
    assert findings(plain_results([GAN])) == []


def test_one_victim_alone_is_named():
    one = GAN | {"target": 2, "victim": 2, "victim_labels": [1]}
    (found,) = findings(results_of([one]))
    assert "user_level_gan, against client 2, AUC" in found.detail


def test_rows_come_generator_first_and_baselines_last():
    rows = [LABEL, row("unmixed_cosine", 0.6, (0.5, 0.7)), GLOBAL, GAN, OWN]
    names = [each.name for each in decided(results_of(rows), "others")]
    assert names == ["user_level_gan", "unmixed_cosine", *STANDS_IN]
    assert subject(decided(results_of(rows), "others")).name == "user_level_gan"


def people(**over):
    return Users.model_validate(users(**over))


def test_the_introduction_says_who_listens_and_who_injects():
    assert introduction(people(), STUDY) == (
        "The insider is client 0 of 5, which holds labels eight and nine. It injects a class of "
        "its own: in what it uploads, drawn images are one class more, so that the others’ models "
        "learn to tell them from their records."
    )
    quiet = people(clients=[0, 1], attendance=True, generated=None)
    assert introduction(quiet, {}) == (
        "Clients 0 and 1 of 5 collude: they pool what they see, and hold labels 0, 8 and 9. They "
        "only listen: what they upload is trained as agreed. They are told who takes part in each "
        "round."
    )
    assert insiders(people(clients=[0, 2, 4])) == "Clients 0, 2 and 4"


def test_the_introduction_tells_of_raised_losses():
    plain = people(generated=None)
    climbing = {"insider": {"ascent": {"by": "participant"}}}
    assert "raises the loss on the candidates" in introduction(plain, climbing)
    server = introduction(
        people(clients=[], generated=None), {"insider": {"ascent": {"by": "server"}}}
    )
    assert server.startswith("The insider is the server. It gives each target a model of its own")


def test_labels_shared_by_others_are_named_and_those_of_the_insider_do_not_count():
    apart = results_of([GAN])
    assert shared_labels(people()) == []
    assert "whose record it is comes down to which class it is" in overlap(apart)
    shared = [[8, 9], [0, 8], [0, 1, 9], [1, 2], [3]]
    assert shared_labels(people(declared=shared)) == [0, 1]
    assert shared_labels(people(declared=shared, clients=[0, 2])) == []
    words = overlap(results_of([GAN], users=users(declared=shared)))
    assert words == (
        "Labels zero and one are declared by more than one of the others: declared labels cannot "
        "tell these clients apart."
    )
    one = overlap(results_of([GAN], users=users(declared=[[8], [0], [0], [1], [2]])))
    assert one.startswith("Label zero is declared by more than one")


def test_what_is_found_beyond_labels_is_pointed_to():
    beyond = {
        "target": "all",
        "block": "others",
        "auc": 0.8,
        "label_auc": 0.9,
        "label_interval": (0.88, 0.92),
        "at": "0.01",
        "tpr": 0.1,
        "matched_tpr": 0.05,
        "label_tpr": 0.3,
        "explained": 0.6,
        "covered": 0.7,
    }
    rows = [
        beyond | {"name": name, "within_auc": auc, "within_interval": (auc - 0.03, auc + 0.03)}
        for name, auc in (("norm", 0.55), ("others_cosine", 0.61))
    ]
    shared = users(declared=[[8], [0], [0], [1], [2]])
    words = overlap(results_of([GAN], users=shared, labels={"skewed": True, "rows": rows}))
    assert words.endswith(
        "What is found beyond labels stands under “What labels alone tell”, within the same "
        "label: at best AUC 0.61 [0.58, 0.64], by others_cosine."
    )


def printed(results):
    stream = io.StringIO()
    Console(file=stream, width=100, force_terminal=False).print(terminal_table(results))
    return re.sub(r"\s+", " ", stream.getvalue())


def test_the_terminal_says_the_same_in_four_lines():
    results = results_of([GAN, GLOBAL, OWN, LABEL], source=source())
    text = printed(results)
    assert "Client 0 marks 80.0 % of a victim’s records as the victim’s, and 4.0 % of" in text
    assert "The global model alone does better (AUC 0.999 against 0.969): the generator" in text
    assert "an independent classifier sees in" in text
    assert "The server names the right client for 64.0 % of 300 records" in text
    assert "The record’s own label" not in text
    quiet = printed(plain_results([plain_row()]))
    assert "names the right client" not in quiet
    assert "a victim’s records" not in quiet


def test_declared_labels_without_names_stand_as_numbers():
    bare = people(generated=generated(classes=[]))
    assert "which holds labels 8 and 9." in introduction(bare, {})
    assert DECLARED[0] == [8, 9]
