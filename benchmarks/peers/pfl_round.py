"""The digits task of ``benchmarks.federated_round`` in pfl-research, run with pfl installed.

``python pfl_round.py TASK.npz`` prints one line of JSON: median seconds a round and the digest.
Each of the ten users takes part in every round, and a user's data is handed out in the order that
the task prescribes for that round, so the arithmetic is that of the other programs.
"""

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm import FederatedAveraging, NNAlgorithmParams
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel


class Network(torch.nn.Sequential):
    """A module with the two methods that pfl asks for."""

    def loss(self, inputs: torch.Tensor, labels: torch.Tensor, eval: bool = False) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self(inputs), labels)

    def metrics(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        return {}


class Clock(TrainingProcessCallback):
    """Notes when each round ends."""

    def __init__(self) -> None:
        self.ends = [time.perf_counter()]

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        self.ends.append(time.perf_counter())
        return False, Metrics()


def main(path: str) -> None:
    task = np.load(path)
    torch.set_num_threads(1)
    inputs, labels = torch.from_numpy(task["inputs"]), torch.from_numpy(task["labels"])
    ends = np.cumsum(task["sizes"])
    met = dict.fromkeys(range(len(ends)), 0)

    def dataset(user: int) -> Dataset:
        rows = task_orders[met[user], ends[user] - task["sizes"][user] : ends[user]]
        met[user] += 1
        return Dataset((inputs[rows], labels[rows]), user_id=user)

    task_orders = torch.from_numpy(task["orders"])
    network = Network(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    network.load_state_dict(
        {n: torch.from_numpy(task[f"start/{n}"]) for n in dict(network.named_parameters())}
    )
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), lr=1.0))
    users = FederatedDataset(dataset, get_user_sampler("minimize_reuse", list(met)))
    clock = Clock()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=len(task["orders"]),
            evaluation_frequency=10**9,
            train_cohort_size=len(ends),
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(users, users, postprocessors=[WeightByDatapoints()]),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_batch_size=32, local_num_epochs=1, local_learning_rate=0.1
        ),
        callbacks=[clock],
    )
    seconds = np.diff(clock.ends)[int(task["warm"]) :]
    digest = sum(float(p.detach().double().abs().sum()) for p in network.parameters())
    print(json.dumps({"seconds": statistics.median(seconds), "digest": digest}))


if __name__ == "__main__":
    main(sys.argv[1])
