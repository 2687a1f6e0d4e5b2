"""How much does a federation of my own model on my own tensors leak?

Run:      python examples/audit_your_own_model.py     (about 15 seconds on a laptop CPU)
Expect:   the server tells members from records nobody trained on, AUC well above 0.6.
"""

import torch
from torch import nn

import seepage


class Net(nn.Module):
    """Any module that maps a batch of inputs to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)


def main() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (1500,), generator=draw)
    inputs = torch.randn(1500, 20, generator=draw) + labels[:, None] * 0.3
    study = {
        "data": {"clients": 5, "per_client": 60},
        "federation": {"rounds": 30, "local_epochs": 5, "learning_rate": 0.1},
        "observe": {"every": 3},
    }
    result = seepage.run(study, data=(inputs, labels), model=Net, out="runs/mine")
    print(result)
    pooled = result.table.query("target == 'all' and block == 'held_out'")
    print(pooled[["name", "auc", "tpr@0.01"]].to_string(index=False))


if __name__ == "__main__":
    main()
