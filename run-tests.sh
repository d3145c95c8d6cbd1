#!/usr/bin/env bash
# Sets up .venv, checks style and types, and runs the tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/setup.sh "[dev]"
ruff check .
ruff format --check .
mypy
pytest "$@"
