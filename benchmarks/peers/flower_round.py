"""The digits task of ``benchmarks.federated_round`` in Flower's simulation; needs flwr.

``python flower_round.py TASK.npz`` prints one line of JSON: median seconds a round and the digest.
Flower schedules its ten clients on worker processes of one core each; a client looks up the order
of its data by round, so the arithmetic is that of the other programs.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

PATH = sys.argv[-1]
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


@lru_cache(maxsize=1)
def task(path: str) -> dict[str, Any]:
    """The arrays of the task file."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Clocked(FedAvg):
    """FedAvg that notes when each round is aggregated."""

    ends: list[float] = []  # noqa: RUF012

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        """As FedAvg does, then the time."""
        answer = super().aggregate_train(server_round, replies)
        self.ends.append(time.perf_counter())
        return answer


client_app = ClientApp()
server_app = ServerApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """One local epoch."""
    torch.set_num_threads(1)
    config = message.content["config"]
    given, number = task(config["path"]), int(config["server-round"]) - 1
    client, ends = int(context.node_config["partition-id"]), np.cumsum(given["sizes"])
    rows = given["orders"][number, ends[client] - given["sizes"][client] : ends[client]]
    network = torch.nn.Sequential(
        torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    inputs, labels = torch.from_numpy(given["inputs"]), torch.from_numpy(given["labels"])
    for batch in torch.from_numpy(rows).split(32):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
        optimizer.step()
    answer = {
        "arrays": ArrayRecord(network.state_dict()),
        "metrics": MetricRecord({"num-examples": len(rows)}),
    }
    return Message(content=RecordDict(answer), reply_to=message)


@server_app.main()
def serve(grid: Grid, context: Context) -> None:
    """All rounds, without evaluation."""
    given = task(PATH)
    strategy = Clocked(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=10)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({n: torch.from_numpy(given[f"start/{n}"]) for n in NAMES}),
        num_rounds=len(given["orders"]),
        train_config=ConfigRecord({"path": PATH}),
    )
    seconds = np.diff(Clocked.ends)[int(given["warm"]) :]
    final = result.arrays.to_torch_state_dict().values()
    digest = sum(float(p.double().abs().sum()) for p in final)
    print(json.dumps({"seconds": statistics.median(seconds), "digest": digest}), flush=True)


if __name__ == "__main__":
    import flower_round as app  # by a name that Ray's workers can import

    run_simulation(
        server_app=app.server_app,
        client_app=app.client_app,
        num_supernodes=10,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
