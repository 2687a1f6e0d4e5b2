"""The same audit on a CUDA device: repeatable, resumable, and close to the CPU's."""

import numpy as np
import pandas as pd
import pytest
import torch

import seepage

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_cuda_repeats_itself_and_resumes(tiny, tmp_path):
    class Killed(BaseException):
        pass

    def kill(stage, done, total):
        if stage == "training" and done == 3:
            raise Killed

    study = tiny(compute={"device": "cuda"})
    whole = seepage.run(study)
    with pytest.raises(Killed):
        seepage.run(study, out=tmp_path / "run", progress=kill)
    resumed = seepage.run(study, out=tmp_path / "run")
    pd.testing.assert_frame_equal(whole.scores, resumed.scores)


def test_cuda_agrees_with_the_cpu(tiny):
    on = {device: seepage.run(tiny(compute={"device": device})) for device in ("cpu", "cuda")}
    for name in on["cpu"].signals.data_vars:
        a, b = (on[device].signals[name].isel(round=0).to_numpy() for device in on)
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
