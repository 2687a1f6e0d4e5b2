import torch
from hypothesis import settings

# Same examples every time, and no clock: a slow machine is not a failure.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

# Test models are small, and several test processes share the cores.
torch.set_num_threads(1)
