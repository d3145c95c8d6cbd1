"""Writes the SHA-256 of this version's remote code to the list that `scen verify` compares packs with.

Run it after changing a file of modeling/ that is published. Entries of other versions stay as they are: what is out there is.
"""

import json

from scen_hf import __version__
from scen_hf.hub_tools.released_code import RELEASED_CODE, code_hashes, installed_code, released_code


versions = {**released_code(), __version__: code_hashes(installed_code())}
RELEASED_CODE.write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")
