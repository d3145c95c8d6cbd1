"""Verify a pack before it is loaded: everything that can be known without running anything of it.

    >>> report = verify_pack("owner/facts", revision="v1.2.0")
    >>> report.ok
    True
    >>> print(report)
    ok      names: 17 files, all of them a pack's
    ...

What opening a pack checks anyway is left to [`EditPackReader`]. What is added: no file is there that could be executed or
unpickled, nothing sends a library to other code, the code is ours, every expert is whole, and the base is the base.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import LlamaConfig

from ..edits import Edit, check_edits
from ..errors import EditError, EditPackError
from ..modeling import EditPackReader, SCENLlamaConfig
from ..modeling.edit_pack_scen_llama import (
    FACTS_NAME,
    FINGERPRINT_PREFIX,
    ROUTER_NAME,
    SPACE_NAME,
    check_fingerprint,
    fingerprint,
)
from ..pack import REMOTE_CODE
from .base_weights import find_base, map_weights, read_base_config
from .pack_files import PackFiles, belongs_to_pack, find_pack_files
from .released_code import code_hashes, installed_code, released_code


Outcome = Literal["ok", "note", "failed"]

# What Python, a shell or a loader would run, and what unpickling would.
_RUNNABLE = re.compile(
    r".*\.(bat|bin|ckpt|cmd|dill|dll|dylib|exe|h5|ipynb|joblib|keras|np[yz]|pickle|pkl|pth?|py[cdz]?|sh|so|whl)",
    re.IGNORECASE,
)
# Files by which transformers or PEFT would load other weights or classes than those of the pack.
_REDIRECTING = frozenset(
    {
        "adapter_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "pytorch_model.bin.index.json",
        "video_preprocessor_config.json",
    }
)
# The same by fields of config.json.
_REDIRECTING_FIELDS = ("configuration_files", "custom_pipelines")
_KERNELS = ("attn_implementation", "experts_implementation")
_INDEX = "model.safetensors.index.json"
_CLASS = re.compile(r"(\w+)\.\w+", re.ASCII)
# Fields of a configuration that say what a checkpoint is called and stored as, not what it computes.
_LABELS = frozenset({"_name_or_path", "architectures", "auto_map", "dtype", "model_type", "transformers_version"})
# Names under which `fingerprint` samples a base.
_FINGERPRINTED = frozenset({"embed_tokens", "first_down_proj", "middle_q_proj", "last_down_proj", "norm"})
# Checks without which a pack cannot be used at all.
CONTENT_CHECKS = frozenset({"paths", "format", "shards", "tensors", "experts", "facts"})
_MOST_NAMED = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `str()` gives the line to print.

    Args:
        name: What was looked at.
        outcome: `"ok"`; `"note"`: to be known, and not wrong; `"failed"`.
        message: What was found.
        command: Which shows more of it on this machine, where there is one.
    """

    name: str
    outcome: Outcome
    message: str
    command: str | None = None

    def __str__(self) -> str:
        label = "FAILED" if self.outcome == "failed" else self.outcome
        more = f"; to see it: {self.command}" if self.command else ""
        return f"{label:<7} {self.name}: {self.message}{more}"


@dataclass(frozen=True)
class VerificationReport:
    """What [`verify_pack`] found.

    Args:
        source: The folder, or the repository and its revision.
        commit: The commit of the repository that was looked at; `None` for a folder.
        checks: In the order in which they were made.
    """

    source: str
    commit: str | None
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == "failed")

    def __str__(self) -> str:
        return "\n".join(map(str, self.checks))

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "source": self.source,
            "commit": self.commit,
            "ok": self.ok,
            "checks": [asdict(check) for check in self.checks],
        }


def verify_pack(
    path_or_repo: str | Path,
    *,
    revision: str | None = None,
    base_model: str | Path | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
) -> VerificationReport:
    """Check a pack without running anything of it.

    Args:
        path_or_repo: Folder, or Hub repository `owner/name`.
        revision: Tag, branch or commit of the repository.
        base_model: Base model to compare with: folder, Hub id, or `smollm2-135m-instruct`. By default the one that the
            pack names, if it is on this machine.
        token, endpoint, cache_dir: As in [`~huggingface_hub.snapshot_download`].

    Raises:
        HubError: If the repository or the base model cannot be had.
        EditPackError, BaseModelError: If the folder or the base model cannot be read.
    """
    hub = {"token": token, "endpoint": endpoint, "cache_dir": cache_dir}
    return verify_files(find_pack_files(path_or_repo, revision=revision, **hub), base_model, **hub)


def verify_files(files: PackFiles, base_model: str | Path | None = None, **hub: Any) -> VerificationReport:
    """Like [`verify_pack`], for files that were found already."""
    return VerificationReport(files.source, files.commit, tuple(_checks(files, base_model, hub)))


def _checks(files: PackFiles, base_model: str | Path | None, hub: dict[str, Any]) -> Iterator[Check]:
    if files.withdrawn is not None:
        yield Check("version", "note", files.withdrawn)
    if files.strays:
        # Nobody knows what lies there: nothing is read.
        yield _failed("paths", f"{_listed(files.strays)}: outside of the pack, by its path or by a link")
        return
    yield Check("paths", "ok", "all files lie in the pack")
    yield _check_names(files)
    yield from _check_unknown(files)
    yield _check_remote_code(files)
    yield _check_references(files)
    yield _check_tokenizer(files)
    try:
        reader = EditPackReader(files.folder)
    except EditPackError as error:
        yield _failed("format", _said(error, files))
        return
    config = reader.config
    yield Check("format", "ok", f"version {config.format_version}, method {config.method}, layer {config.edit_layer}")
    yield _check_shards(reader)
    yield _check_tensors(reader, files)
    yield _check_experts(reader, files)
    yield from _check_facts(reader, files)
    yield _check_fingerprint(reader)
    yield from _check_base(reader, files, base_model, hub)


# ------------------------------------------------------------------------- files


def _check_names(files: PackFiles) -> Check:
    runnable = [name for name in files.names if _RUNNABLE.fullmatch(name) and name not in REMOTE_CODE]
    redirecting = [name for name in files.names if name in _REDIRECTING]
    said = []
    if runnable:
        said.append(f"{_listed(runnable)}: could be executed or unpickled; a pack has no such file")
    if redirecting:
        said.append(f"{_listed(redirecting)}: would have other files loaded than the pack's")
    return _failed("names", "; ".join(said)) if said else Check("names", "ok", "nothing to execute or to unpickle")


def _check_unknown(files: PackFiles) -> Iterator[Check]:
    unknown = [name for name in files.names if not belongs_to_pack(name)]
    if unknown:
        yield Check("files", "note", f"{_listed(unknown)}: no part of a pack, and not looked into")
    yield Check("files", "ok", f"{len(files.names) - len(unknown)} files of a pack")


def _check_remote_code(files: PackFiles) -> Check:
    name = "remote code"
    hashes, versions = code_hashes(files.folder), released_code()
    if not hashes:
        return Check(name, "note", "none; the pack loads only where scen_hf is installed")
    for version, released in versions.items():
        if hashes == released:
            return Check(name, "ok", f"byte for byte that of scen_hf {version}")
    strange = [file for file in hashes if all(hashes[file] != code.get(file) for code in versions.values())]
    if not strange:
        missing = [file for file in REMOTE_CODE if file not in hashes]
        return _failed(
            name, f"{_listed(missing)} missing" if missing else "the files are of different versions of scen_hf"
        )
    commands = [shlex.join(["diff", "-u", str(installed_code() / file), str(files.folder / file)]) for file in strange]
    message = f"{_listed(strange)} not as in any released version of scen_hf ({', '.join(versions)})"
    return Check(name, "failed", message, "; ".join(commands))


def _check_references(files: PackFiles) -> Check:
    """What `config.json`, and the index of weights beside it, would have transformers load."""
    name = "references"
    config = _read_object(files.folder / "config.json")
    if config is None:
        return _failed(name, "config.json is missing, or no JSON object")
    wrong = [f"config.json must not have {field}" for field in _REDIRECTING_FIELDS if field in config]
    wrong += [f"config.json: {field} names a kernel on the Hub" for field in _KERNELS if "/" in str(config.get(field))]
    auto_map = config.get("auto_map")
    for auto_class, reference in auto_map.items() if isinstance(auto_map, dict) else ():
        match = _CLASS.fullmatch(reference) if isinstance(reference, str) else None
        if match is None or f"{match[1]}.py" not in REMOTE_CODE:
            wrong.append(
                f"config.json: auto_map has {auto_class} loaded from {reference!r}, not from the pack's own code"
            )
    if not isinstance(auto_map, dict | None):
        wrong.append(f"config.json: auto_map is no object but {auto_map!r}")
    wrong += _strange_weights(files)
    return _failed(name, "; ".join(wrong)) if wrong else Check(name, "ok", "only to the pack's own code and weights")


def _strange_weights(files: PackFiles) -> list[str]:
    if _INDEX not in files.names:
        return []
    weights = (_read_object(files.folder / _INDEX) or {}).get("weight_map")
    if not isinstance(weights, dict):
        return [f"{_INDEX} has no weight_map"]
    named = {str(file) for file in weights.values()}
    strange = sorted(file for file in named if not (file.startswith("model") and belongs_to_pack(file)))
    return [f"{_INDEX} names {file!r}, which is no file of weights" for file in strange]


def _check_tokenizer(files: PackFiles) -> Check:
    name = "tokenizer"
    path = files.folder / "tokenizer_config.json"
    if path.name not in files.names:
        return Check(name, "note", "the pack has none, so it cannot be prompted by its name alone")
    config = _read_object(path)
    if config is None:
        return _failed(name, f"{path.name} is no JSON object")
    if "auto_map" in config:
        return _failed(name, f"{path.name} has a tokenizer loaded from remote code: {config['auto_map']!r}")
    return Check(name, "ok", "no remote code")


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


# ----------------------------------------------------------------------- content


def _check_shards(reader: EditPackReader) -> Check:
    """The files that the manifest records. The reader has hashed those it reads at once, but not the experts."""
    wrong = []
    for shard in reader.manifest["shards"]:
        for entry in (shard["neurons"], shard["experts"]):
            try:
                path = reader.locate(entry["file"])
            except EditPackError:
                wrong.append(f"{entry['file']} is missing")
                continue
            with path.open("rb") as file:
                if path.stat().st_size != entry["size"]:
                    wrong.append(f"{entry['file']} has {path.stat().st_size:,} bytes, not {entry['size']:,}")
                elif file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                    wrong.append(f"{entry['file']} was altered (sha256 differs)")
    count = len(reader.manifest["shards"])
    if wrong:
        return _failed("shards", _listed(wrong))
    return Check("shards", "ok", f"sizes and SHA-256 of {2 * count} files are those of the manifest")


def _check_tensors(reader: EditPackReader, files: PackFiles) -> Check:
    """That there is no tensor that the reader does not look at, and no number in the weights beside the pack that is none."""
    router = {name for name, _ in reader.router.named_buffers()}
    neurons = router & {"neurons", "subjects"}
    space = {name.removeprefix("space.") for name in router if name.startswith("space.")}
    expected = {
        SPACE_NAME: space,
        ROUTER_NAME: {name for name in router - neurons if not name.startswith("space.")}
        | {"checksums"}
        | {FINGERPRINT_PREFIX + name for name in reader.base_fingerprint},
        **{shard["neurons"]["file"]: neurons for shard in reader.manifest["shards"]},
        **{shard["experts"]["file"]: set(reader.expert_shapes) for shard in reader.manifest["shards"]},
    }
    wrong = []
    for filename in sorted(name for name in files.names if name.endswith(".safetensors") and belongs_to_pack(name)):
        try:
            with safe_open(files.folder / filename, framework="pt") as file:
                tensors = set(file.keys())
                if filename in expected:
                    surplus = sorted(tensors - expected[filename])
                    wrong += [f"{filename} has a tensor {name!r} that a pack has not" for name in surplus]
                elif filename.startswith("model"):
                    wrong += [f"{filename}, {name}: NaN or infinite" for name in tensors if not _is_finite(file, name)]
                else:
                    wrong.append(f"{filename} is not in the manifest")
        except SafetensorError as error:
            wrong.append(f"{filename} is not a readable safetensors file ({error})")
    return _failed("tensors", _listed(wrong)) if wrong else Check("tensors", "ok", "names, shapes and finite numbers")


def _is_finite(file: Any, name: str) -> bool:
    tensor = file.get_tensor(name)
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _check_experts(reader: EditPackReader, files: PackFiles) -> Check:
    wrong = []
    for number in range(len(reader)):
        try:
            reader.read_expert(number)
        except EditPackError as error:
            wrong.append(_said(error, files))
    if wrong:
        return _failed("experts", f"{len(wrong):,} of {len(reader):,} are damaged: {_listed(dict.fromkeys(wrong))}")
    return Check("experts", "ok", f"checksums and finite numbers of {len(reader):,}")


def _check_facts(reader: EditPackReader, files: PackFiles) -> Iterator[Check]:
    edits, wrong = [], []
    for number in range(len(reader)):
        try:
            edits.append(Edit.from_dict(reader.fact(number), f"{FACTS_NAME}, line {number + 1}"))
        except (EditError, EditPackError) as error:
            wrong.append(_said(error, files))
    report = check_edits(edits)
    wrong += [f"the id {group[0].id!r} is that of {len(group)} facts" for group in report.repeated_ids]
    if wrong:
        yield _failed("facts", _listed(dict.fromkeys(wrong)))
        return
    if report.contradictions:
        groups = [" and ".join(edit.id for edit in group) for group in report.contradictions]
        yield Check("facts", "note", f"{_listed(groups)} answer one question differently")
    yield Check("facts", "ok", f"{len(edits):,}, as many as neurons and experts")


# -------------------------------------------------------------------------- base


def _check_fingerprint(reader: EditPackReader) -> Check:
    unknown = sorted(reader.base_fingerprint.keys() - _FINGERPRINTED)
    if unknown:
        return _failed("fingerprint", f"{ROUTER_NAME} has samples of {_listed(unknown)}, which no base is compared by")
    missing = sorted(_FINGERPRINTED - reader.base_fingerprint.keys())
    if missing:
        return Check("fingerprint", "note", f"no samples of {_listed(missing)}; was the base quantized in training?")
    return Check("fingerprint", "ok", f"samples of {len(_FINGERPRINTED)} weights of the base")


def _check_base(
    reader: EditPackReader, files: PackFiles, base_model: str | Path | None, hub: dict[str, Any]
) -> Iterator[Check]:
    """Compare the pack with its base, which is the pack itself where it carries its weights."""
    named = reader.config.base_model_name_or_path
    folder = find_base(reader.config, base_model, **hub)
    if folder is None and named is not None:
        yield Check("base", "note", f"not compared, since {named!r} is not on this machine; name it with --base")
        return
    folder = folder or files.folder
    try:
        config = read_base_config(folder)
    except EditPackError as error:
        if base_model is not None:
            raise
        yield Check("base", "note", f"not compared: {error}")
        return
    yield _check_weights(reader, files, folder, config, str(base_model or named or "the pack itself"))
    yield _check_settings(reader, config)
    if folder != files.folder:
        yield from _compare_prompting(files.folder, folder)


def _check_weights(reader: EditPackReader, files: PackFiles, folder: Path, config: LlamaConfig, base: str) -> Check:
    name = "base weights"
    try:
        model = map_weights(folder, config)
    except SafetensorError as error:
        return _failed(name, f"those of {base} cannot be read ({error})")
    compared = fingerprint(model).keys() & reader.base_fingerprint.keys()
    if not compared:
        return Check(name, "note", f"not compared: {base} has none of them as plain safetensors")
    try:
        check_fingerprint(reader.base_fingerprint, model, files.source, reader.config.base_model_name_or_path)
    except EditPackError as error:
        return _failed(name, str(error))
    return Check(name, "ok", f"{len(compared)} of {len(reader.base_fingerprint)} samples are those of {base}")


def _check_settings(reader: EditPackReader, base: LlamaConfig) -> Check:
    """That the pack's `config.json` makes of the base's weights what the base's own does: unedited prompts depend on it."""
    ours, theirs = reader.config.to_dict(), base.to_dict()
    own = SCENLlamaConfig().to_dict().keys() - LlamaConfig().to_dict().keys()
    different = [
        f"{field} is {ours[field]!r}, in the base {theirs.get(field)!r}"
        for field in sorted(ours.keys() - own - _LABELS)
        if ours[field] != theirs.get(field)
    ]
    if different:
        return _failed("base settings", f"config.json: {_listed(different)}")
    return Check("base settings", "ok", "config.json has those of the base")


def _compare_prompting(pack: Path, base: Path) -> Iterator[Check]:
    """Say where the pack has prompts read otherwise than the base. It may have reasons to."""
    ours, theirs = _chat_template(pack), _chat_template(base)
    if ours == theirs:
        yield Check("chat template", "ok", "the base's" if ours else "none, as in the base")
    else:
        yield Check("chat template", "note", "not the base's; read chat_template.jinja before you use it")
    paths = [folder / "tokenizer.json" for folder in (pack, base)]
    if all(path.is_file() for path in paths):
        try:
            same = _tokenization(paths[0]) == _tokenization(paths[1])
        except Exception as error:  # the library raises nothing more special
            yield _failed("tokenization", f"a tokenizer.json cannot be read: {error}")
            return
        yield Check("tokenization", "ok" if same else "note", "the base's" if same else "not the base's")


def _chat_template(folder: Path) -> Any:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return (_read_object(folder / "tokenizer_config.json") or {}).get("chat_template")


def _tokenization(path: Path) -> dict[str, Any]:
    """What a tokenizer does to a text, whatever version of the library wrote it."""
    tokenizer = json.loads(Tokenizer.from_file(str(path)).to_str())
    return {part: value for part, value in tokenizer.items() if part not in ("padding", "truncation", "version")}


# ---------------------------------------------------------------------- messages


def _failed(name: str, message: str) -> Check:
    return Check(name, "failed", message)


def _said(error: Exception, files: PackFiles) -> str:
    """An error's message; files in the client's cache are called by the repository."""
    return str(error).replace(str(files.folder), files.source)


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    more = f" and {len(items) - _MOST_NAMED:,} more" if len(items) > _MOST_NAMED else ""
    return ", ".join(items[:_MOST_NAMED]) + more
