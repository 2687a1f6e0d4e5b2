"""Can a participant tell whose record a record is, and does it take a generator to do so?

Run:      python examples/whose_record_is_it.py     (about half a minute on a laptop CPU)
Expect:   yes, and no: the global model alone, which every participant is handed, marks a victim's
          records at least as well as the classifier of generated images.
"""

import seepage


def main() -> None:
    study = {
        "data": {
            "name": "digits",
            "clients": 4,
            "partition": "disjoint_labels",
            "labels_per_client": [1, 1, 3, 5],
            "per_label": 80,
        },
        "federation": {"rounds": 60, "local_epochs": 2, "batch_size": 20, "learning_rate": 0.1},
        "observe": {"every": 20},
        "candidates": {"members": 80},
        "insider": {"clients": [0], "gan": {"active": True, "start": 0.5}},
    }
    result = seepage.run(study, out="runs/whose")
    print(result)
    asked = result.table.query("target != 'all' and block == 'others'")
    columns = ["name", "victim_labels", "paper_accuracy", "false_alarms", "auc"]
    print(asked[columns].to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
