"""Nothing is noted down for onnxruntime's maker."""

import os
import subprocess
import sys

CODE = "import sys, edgeonnx; edgeonnx.Model.load(sys.argv[1]).session()"


def test_a_session_of_a_model_leaves_nothing_in_the_users_home(examples, tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {**kept, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", CODE, str(examples / "mobilenetv1.onnx")]
    ran = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.rglob("*")) == []
