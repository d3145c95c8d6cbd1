#!/usr/bin/env bash
# Sets up .venv, trains the sample edits on a small Llama, shares them on a local Hub, and shows what they change. Arguments go to
# examples/first_run.py.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/setup.sh "[local-hub]"
python examples/first_run.py "$@"
