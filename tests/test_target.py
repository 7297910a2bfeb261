"""Targets are read strictly: what a file says wrongly is named."""

from __future__ import annotations

from importlib import import_module

import pytest

from edgepack.errors import InputError
from edgepack.export import EXPORTERS
from edgepack.package import APPS
from edgepack.runtime import RUNTIMES
from edgepack.student.config import BITS
from edgepack.target import Target, list_targets, load_target, parse_target

MINIMAL = """
title = "t"
device = "android"
format = "onnx"
runtime = "onnxruntime"
runtime_min_version = "1.0"
file = "model.onnx"
body_bits = [8]
embedding_bits = [8, 4]
operators = ["Add"]
"""


def test_the_targets_are_listed() -> None:
    expected = {"android-onnx", "ios-onnx", "linux-onnx", "web-onnx", "android-torchscript", "ios-torchscript"}
    assert expected <= set(list_targets())
    assert list(list_targets()) == sorted(list_targets())


@pytest.mark.parametrize("name", list_targets())
def test_every_file_loads_and_its_format_and_runtime_exist(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.format in EXPORTERS
    assert target.runtime in RUNTIMES
    assert target.body_bits
    assert set(target.body_bits) <= set(BITS)
    assert target.embedding_bits
    assert set(target.embedding_bits) <= set(BITS)


@pytest.mark.parametrize("name", list_targets())
def test_the_app_of_a_target_is_the_one_that_packages_its_bundles(name: str) -> None:
    target = load_target(name)
    module = import_module(APPS[target.device]) if target.device in APPS else None
    assert target.app == (target.device if module and target.runtime in module.RUNTIMES else None)


def test_minimal_file_gets_defaults_and_tuples() -> None:
    target = parse_target("t", MINIMAL)
    assert target == Target("t", "t", "android", "onnx", "onnxruntime", "1.0", "model.onnx", (8,), (8, 4), ("Add",))
    assert target.opset is None
    assert target.extra is None


def test_unknown_name_lists_known_ones_and_the_closest() -> None:
    with pytest.raises(InputError, match=r"'andriod-onnx'.*ios-torchscript.*did you mean 'android-onnx'"):
        load_target("andriod-onnx")


@pytest.mark.parametrize("name", ["../targets/android-onnx", "", "zzz"])
def test_a_name_is_not_a_path(name: str) -> None:
    with pytest.raises(InputError, match="unknown target"):
        load_target(name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("opest = 17", "t.toml: unknown key 'opest'; allowed: title, "),
        ('opset = "17"', "t.toml: key 'opset' is '17'; it must be of type int"),
        ("opset = true", "t.toml: key 'opset' is True; it must be of type int"),
        ("opset = [17]", r"t.toml: key 'opset' is \[17\]; it must be of type int"),
        ("static_shape = 1", "t.toml: key 'static_shape' is 1; it must be of type bool"),
        ("extra = 3", "t.toml: key 'extra' is 3; it must be of type str"),
        ("opset = ", "t.toml is not valid TOML"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_target("t", MINIMAL + line)


@pytest.mark.parametrize(("old", "new"), [("[8]", "8"), ("[8]", '["8"]'), ("[8]", "[8, true]")])
def test_a_list_must_be_a_list_of_the_right_type(old: str, new: str) -> None:
    with pytest.raises(InputError, match=r"'body_bits'.*must be a list of int"):
        parse_target("t", MINIMAL.replace(f"body_bits = {old}", f"body_bits = {new}"))


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"t.toml: key 'runtime' is missing"):
        parse_target("t", MINIMAL.replace('runtime = "onnxruntime"', ""))
