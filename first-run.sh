#!/usr/bin/env bash
# Sets up .venv, trains the sample edits on a small Llama, and shows what they change. Arguments go to examples/first_run.py.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/setup.sh ""
python examples/first_run.py "$@"
