"""What workers share goes with the run that made it, or with the next one."""

import os
import platform
import subprocess
import sys

import pytest

from seepage.reference.workspace import workspace

HERE = f".work-{platform.node()}-"


def fail_in(folder):
    with workspace(folder) as made:
        assert made.parent == folder
        (made / "samples").write_text("x")
        raise KeyError


def test_it_is_gone_at_the_end(tmp_path):
    with pytest.raises(KeyError):
        fail_in(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="asks for processes by number")
def test_what_a_killed_run_left_is_removed_and_nobody_elses(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from seepage.reference.workspace import *\n"
        "with workspace(Path(sys.argv[1])) as made:\n"
        "    (made / 'samples').write_text('x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "samples").exists()
    others = [
        tmp_path / f"{HERE}{os.getppid()}-alive",
        tmp_path / ".work-elsewhere-1-x",
        tmp_path / "model",
    ]
    for other in others:
        other.mkdir()
    with workspace(tmp_path), workspace(tmp_path):
        assert not left.exists()
        assert len(list(tmp_path.iterdir())) == 5
    assert sorted(tmp_path.iterdir()) == sorted(others)
