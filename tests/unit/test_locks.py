import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossmod.errors import CrossmodError
from crossmod.locks import WORKFLOW_VARIABLE, _birth, stage_lock

HOLD = """
import sys, time
from pathlib import Path
from crossmod.locks import claim_workflow
claim_workflow(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def start(code: str, *arguments: str, **env: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def claim(folder: Path) -> subprocess.CompletedProcess:
    code = HOLD.replace("time.sleep(60)", "")
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )


def test_a_live_workflow_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    holder = start(HOLD, str(tmp_path))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    refused = claim(tmp_path)
    assert f"another run (process {holder.pid}) is at work here" in refused.stderr
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.output.lock").write_text("left over")
    holder.kill()
    holder.wait()
    assert claim(tmp_path).stdout == "held\n"
    assert not list((tmp_path / "locks").iterdir())


def test_a_stage_lock_lets_one_writer_in(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    refused = pytest.raises(CrossmodError, match="is being written by another process")
    with stage_lock(output), refused, stage_lock(output, patience_s=0.3):
        pass
    with stage_lock(output, patience_s=0.3):
        pass
    assert not list(tmp_path.iterdir())


def test_who_waits_gets_the_lock_when_its_owner_is_done(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    code = "import sys, time; from pathlib import Path; from crossmod.locks import stage_lock\n"
    code += "with stage_lock(Path(sys.argv[1])): print('in', flush=True); time.sleep(1)"
    owner = start(code, str(output))
    assert owner.stdout is not None
    assert owner.stdout.readline() == "in\n"
    with stage_lock(output, patience_s=20):
        assert owner.wait(timeout=5) == 0


def test_a_stage_ends_with_its_workflow() -> None:
    workflow = start("import time; time.sleep(60)")
    code = "from crossmod.locks import *; import time; end_with_workflow(.05); time.sleep(30)"
    job = start(code, **{WORKFLOW_VARIABLE: str(workflow.pid)})
    time.sleep(0.5)
    assert job.poll() is None
    workflow.kill()
    workflow.wait()
    assert job.wait(timeout=10) == 1


def test_a_stage_without_workflow_goes_on() -> None:
    code = "from crossmod.locks import *; import time; end_with_workflow(.05); time.sleep(.3)"
    job = start(code, **{WORKFLOW_VARIABLE: ""})
    assert job.wait(timeout=20) == 0


def test_birth_tells_a_process_from_a_dead_one() -> None:
    assert _birth(os.getpid()) == _birth(os.getpid()) is not None
    gone = start("pass")
    gone.wait()
    assert _birth(gone.pid) is None
