"""Metadata of model cards: read from README.md, checked as the Hub does, and turned into tags."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import yaml

from .commits import Files
from .objects import ObjectStore


_READ_MAX_BYTES = 2**20
_FRONT_MATTER = re.compile(r"\s*---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|$)", re.DOTALL)
_MODEL_ID = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual", re.ASCII)
_RELATIONS = {"adapter", "finetune", "merge", "quantized"}
_LICENSE_IDS = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
    bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0
    eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research
    intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit
    mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openrail openrail++ osl-3.0 other pddl postgresql unknown
    unlicense wtfpl zlib
"""


class _CardLoader(yaml.SafeLoader):
    """Reads YAML without aliases, which let a small file stand for a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Checks the metadata of a model card.

    Args:
        content: The README.md, with or without metadata.

    Returns:
        What is wrong, and what is worth a warning.
    """
    match = _FRONT_MATTER.match(content)
    if match is None or not match[1].strip():
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        metadata = _parse_metadata(match[1])
    except ValueError as error:
        return [str(error)], []
    return [problem for check in _CHECKS for problem in check(metadata)], []


def card_of(files: Files, objects: ObjectStore) -> dict[str, Any]:
    """Reads the metadata of a commit's model card.

    Args:
        files: The files of the commit.
        objects: Their contents.

    Returns:
        The metadata; empty when there is none or it cannot be read.
    """
    return _card_from(_read_text(files, objects, "README.md"))


def config_of(files: Files, objects: ObjectStore) -> dict[str, Any]:
    """Reads the part of config.json that the Hub shows.

    Args:
        files: The files of the commit.
        objects: Their contents.

    Returns:
        The fields; empty when there is no usable config.json.
    """
    try:
        config = json.loads(_read_text(files, objects, "config.json"), parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(config, dict):
        return {}
    auto_map = config.get("auto_map")
    shown = {
        "architectures": _texts(config.get("architectures")),
        "auto_map": {key: name for key, name in auto_map.items() if isinstance(name, str)}
        if isinstance(auto_map, dict)
        else {},
        "model_type": next(iter(_texts(config.get("model_type"))), None),
    }
    return {key: value for key, value in shown.items() if value}


def tags_of(files: Files, card: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Collects the tags that the Hub derives.

    Args:
        files: The files of the commit.
        card: The metadata of its model card.
        config: What `config_of` gave.

    Returns:
        The tags, each once.
    """
    models = _texts(card.get("base_model"))
    relation = card.get("base_model_relation")
    tags = [
        *_texts(card.get("library_name")),
        *(["safetensors"] if any(path.endswith(".safetensors") for path in files) else []),
        *_texts(config.get("model_type")),
        *_texts(card.get("pipeline_tag")),
        *_texts(card.get("tags")),
        *(["custom_code"] if config.get("auto_map") else []),
        *_texts(card.get("language")),
        *(f"dataset:{name}" for name in _texts(card.get("datasets"))),
        *(f"base_model:{name}" for name in models),
        *(f"base_model:{relation}:{name}" for name in models if relation in _RELATIONS),
        *(f"license:{name}" for name in _texts(card.get("license"))),
    ]
    return list(dict.fromkeys(tags))


def _read_text(files: Files, objects: ObjectStore, path: str) -> str:
    entry = files.get(path)
    content = objects.read(entry.sha256, _READ_MAX_BYTES) if entry else None
    return (content or b"").decode(errors="replace")


@lru_cache(maxsize=64)
def _card_from(text: str) -> dict[str, Any]:
    match = _FRONT_MATTER.match(text)
    try:
        return _parse_metadata(match[1]) if match else {}
    except ValueError:
        return {}


def _parse_metadata(text: str) -> dict[str, Any]:
    """Parses metadata into what JSON can hold, with dates as texts."""
    try:
        metadata = yaml.load(text, Loader=_CardLoader)
        plain = json.loads(json.dumps(metadata, default=str, allow_nan=False))
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"cannot read the yaml metadata: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise ValueError("the yaml metadata must be a mapping of names to values")
    return plain


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def _check_strings(metadata: Mapping[str, Any]) -> Iterable[str]:
    for key in ("base_model_relation", "library_name", "license_link", "license_name", "pipeline_tag"):
        if key in metadata and not isinstance(metadata[key], str):
            yield f'"{key}" must be a string'


def _check_lists(metadata: Mapping[str, Any]) -> Iterable[str]:
    for key in ("base_model", "datasets", "language", "license", "metrics"):
        value = metadata.get(key)
        if value is not None and len(_texts(value)) != (len(value) if isinstance(value, list) else 1):
            yield f'"{key}" must be a string or a list of strings'
    tags = metadata.get("tags")
    if tags is not None and not (isinstance(tags, list) and len(_texts(tags)) == len(tags)):
        yield '"tags" must be a list of strings'


def _check_values(metadata: Mapping[str, Any]) -> Iterable[str]:
    for name in _texts(metadata.get("license")):
        if name not in _LICENSE_IDS.split():
            yield f'"license" cannot be "{name}": use an identifier such as "apache-2.0", or "other"'
    for name in _texts(metadata.get("language")):
        if not _LANGUAGE.fullmatch(name):
            yield f'"language" cannot be "{name}": use an ISO 639 code such as "en", or "code" or "multilingual"'
    for name in _texts(metadata.get("base_model")):
        if not _MODEL_ID.fullmatch(name):
            yield f'"base_model" cannot be "{name}": use the id of a model, such as "owner/name"'
    relation = metadata.get("base_model_relation")
    if isinstance(relation, str) and relation not in _RELATIONS:
        yield f'"base_model_relation" must be one of {", ".join(sorted(_RELATIONS))}'


def _check_model_index(metadata: Mapping[str, Any]) -> Iterable[str]:
    if "model-index" not in metadata:
        return
    models = metadata["model-index"]
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        yield '"model-index" must be a list of models'
        return
    for number, model in enumerate(models):
        where = f"model-index[{number}]"
        if not isinstance(model.get("name"), str):
            yield f'"{where}.name" must be a string'
        results = model.get("results")
        if not isinstance(results, list):
            yield f'"{where}.results" must be a list'
            continue
        for index, result in enumerate(results):
            yield from _check_result(f"{where}.results[{index}]", result)


def _check_result(where: str, result: object) -> Iterable[str]:
    if not isinstance(result, dict):
        yield f'"{where}" must be a mapping'
        return
    required = {"task": ("type",), "dataset": ("type", "name")}
    for part, names in required.items():
        fields = result.get(part)
        for name in names:
            if not isinstance(fields, dict) or not isinstance(fields.get(name), str):
                yield f'"{where}.{part}.{name}" is required'
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f'"{where}.metrics" must be a list with at least one metric'
        return
    for index, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str) or "value" not in metric:
            yield f'"{where}.metrics[{index}]" must have a "type" and a "value"'


_CHECKS: tuple[Callable[[Mapping[str, Any]], Iterable[str]], ...] = (
    _check_strings,
    _check_lists,
    _check_values,
    _check_model_index,
)
