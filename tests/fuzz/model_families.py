"""Odd models, recipes and calls."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import torch
from data_families import mutate, picture
from safetensors.torch import load_file, save_file

import perceptio
from perceptio.evaluation.ablation.plan import AblationPlan
from perceptio.model.loading import load_depth_tokenizer
from perceptio.nano.recipe import Recipe
from perceptio.pipeline import Perceptio
from perceptio.training.finetune.settings import FinetuneRecipe
from perceptio.training.recipe import read_recipe

RECIPES = Path(perceptio.__file__).parents[2] / "recipes"
JSON_FILES = ("config.json", "processor_config.json", "tokenizer_config.json", "generation_config.json")


class Model:
    """A model's folder, small: where it loads, it answers."""

    names: tuple[str, ...] = ("odd",)

    def __init__(self, model: Path) -> None:
        self.model = model

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self.model, folder, dirs_exist_ok=True)

    def attempt(self, folder: Path, rng: random.Random) -> None:
        self.change(folder, rng)
        torch.set_num_threads(1)
        model = Perceptio.from_pretrained(folder, device="cpu")
        model.ask(np.zeros((20, 30, 3), np.uint8), "Segment it.", seg="on", depth="on")

    def change(self, folder: Path, rng: random.Random) -> None:
        raise NotImplementedError


class Configuration(Model):
    """One field of one of its JSON files."""

    def change(self, folder: Path, rng: random.Random) -> None:
        path = folder / rng.choice([name for name in JSON_FILES if (folder / name).is_file()])
        path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng))


class Weights(Model):
    """Bytes of the header or the body of its weights, or a tensor of another kind."""

    def change(self, folder: Path, rng: random.Random) -> None:
        path = folder / "model.safetensors"
        if rng.random() < 0.5:
            content = path.read_bytes()
            head = 8 + int.from_bytes(content[:8], "little")
            path.write_bytes(mutations.text_from(content[:head], rng) + content[head:])
            return
        tensors = load_file(path)
        name = rng.choice(sorted(tensors))
        match rng.randrange(6):
            case 0:
                del tensors[name]
            case 1:
                tensors[name + "x"] = tensors.pop(name)
            case 2:
                tensors[name] = tensors[name].clone().flatten().fill_(rng.choice((float("nan"), float("inf"))))
            case 3:
                tensors[name] = torch.zeros(
                    tensors[name].shape, dtype=rng.choice((torch.int8, torch.bool, torch.int64))
                )
            case 4:
                tensors[name].view(-1)[0] = float("nan")
            case _:
                tensors[name] = tensors[name][..., :-1].contiguous() if tensors[name].dim() else torch.zeros(2)
        save_file(tensors, path, metadata={"format": "pt"})


class TextTokenizer(Model):
    """Its tokenizer, or a file that git-lfs has not fetched."""

    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 11421870\n"

    def change(self, folder: Path, rng: random.Random) -> None:
        path = folder / "tokenizer.json"
        match rng.randrange(5):
            case 0:
                rng.choice([path for path in folder.iterdir() if path.is_file()]).write_bytes(self.pointer)
            case 1:
                mutate(path, rng)
            case _:
                path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng))


class Index(Model):
    """An index of weights that names other files."""

    odd = (
        "pytorch_model.bin",
        "../w.safetensors",
        "/dev/zero",
        "/etc/passwd",
        "link.safetensors",
        "a/b.safetensors",
        "",
    )

    def change(self, folder: Path, rng: random.Random) -> None:
        weights = folder / "model.safetensors"
        names = list(load_file(weights))
        weights.rename(folder / "model-1.safetensors")
        shutil.copy(folder / "model-1.safetensors", folder / "pytorch_model.bin")
        shutil.copy(folder / "model-1.safetensors", folder.parent / "w.safetensors")
        (folder / "link.safetensors").symlink_to("/dev/zero")
        index: Any = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "model-1.safetensors")}
        for name in rng.sample(names, rng.choice((1, len(names)))):
            index["weight_map"][name] = rng.choice(self.odd)
        if rng.random() < 0.3:
            index = mutations.value_from(index, rng)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))


class DepthFolder:
    """A depth tokenizer in a folder of its own."""

    names = ("odd",)

    def __init__(self, model: Path) -> None:
        self.model = model

    def prepare(self, folder: Path) -> None:
        load_depth_tokenizer(str(self.model)).save_pretrained(folder)

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = folder / "config.json"
        if rng.random() < 0.7:
            path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng))
        else:
            mutate(folder / "model.safetensors", rng, mutations.text_from)
        torch.set_num_threads(1)
        tokenizer = load_depth_tokenizer(str(folder))
        size = tokenizer.config.image_size
        codes = tokenizer.encode(torch.zeros(1, 1, size, size))
        tokenizer.decode(codes)


class Recipes:
    """A recipe of ours with one setting changed, or its text."""

    names = (".yaml",)

    def prepare(self, folder: Path) -> None:
        for path in RECIPES.glob("*.yaml"):
            shutil.copy(path, folder)

    def attempt(self, folder: Path, rng: random.Random) -> None:
        import yaml

        path = rng.choice(sorted(folder.glob("*.yaml")))
        content = path.read_bytes()
        settings = yaml.safe_load(content)
        kind: Any = AblationPlan if path.stem == "ablation" else FinetuneRecipe if "base" in settings else Recipe
        if rng.random() < 0.4:
            path.write_bytes(mutations.text_from(content, rng))
        else:
            path.write_text(yaml.safe_dump(_plain(mutations.value_from(settings, rng))))
        read_recipe(path, kind)


def _plain(value: Any) -> Any:
    """YAML's own writer has no lone surrogates."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class Calls:
    """Arguments of other types and ranges."""

    names = (
        "image",
        "prompt",
        "seg",
        "depth",
        "max_new_tokens",
        "constrained",
        "batch_size",
        "path",
        "web address",
        "name is too long",
        "odd",
    )

    def __init__(self, model: Path) -> None:
        self.model = model
        self.loaded: Perceptio | None = None

    def prepare(self, folder: Path) -> None:
        picture(folder / "a.png")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        torch.set_num_threads(1)
        if self.loaded is None:
            self.loaded = Perceptio.from_pretrained(self.model, device="cpu")
        call: dict[str, Any] = {
            "image": folder / "a.png",
            "prompt": "Segment it.",
            "seg": "auto",
            "depth": "off",
            "constrained": True,
            "max_new_tokens": 40,
        }
        several = rng.random() < 0.4
        if several:
            call = {"images": [call.pop("image")], "prompts": [call.pop("prompt")], "batch_size": 2, **call}
        odd = (
            *mutations.ODD_VALUES,
            b"bytes",
            object(),
            np.zeros(3),
            torch.zeros(2),
            [folder / "a.png"] * 2,
            "on",
            "a.png",
        )
        call[rng.choice(list(call))] = rng.choice(odd)
        ask = self.loaded.ask_batch if several else rng.choice((self.loaded.ask, self.loaded.stream))
        answer = ask(**call)
        if not isinstance(answer, (list, perceptio.results.Answer)):
            list(answer)
