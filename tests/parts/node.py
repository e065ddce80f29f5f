"""A foreign charge point: npm `ocpp-rpc` in strict mode, driven by our small script in ocpp_rpc/."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.parts import installed, missing, used

HERE = Path(__file__).parent / "ocpp_rpc"
INSTALL_S = 180.0
"""For npm to fetch some dozen small packages; seconds on a good line. Less fails on a slow one."""


def ocpp_rpc_command() -> list[str]:
    """The command that runs the charge point; add URL, id and password."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("ocpp-rpc", "Node.js with npm is not installed")
    version = json.loads((HERE / "package.json").read_text())["dependencies"]["ocpp-rpc"]
    folder = installed(f"ocpp-rpc-{version}", lambda work: _install(npm, work))
    used["ocpp-rpc"] = version
    return ["env", f"NODE_PATH={folder / 'node_modules'}", node, str(HERE / "charge_point.cjs")]


def _install(npm: str, work: Path) -> None:
    shutil.copy(HERE / "package.json", work / "package.json")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        missing("ocpp-rpc", f"npm install took more than {INSTALL_S:g} s")
    if done.returncode != 0:
        missing("ocpp-rpc", f"npm install failed: {done.stderr.strip()[-300:]}")
