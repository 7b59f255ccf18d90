"""What tests of the GPU kernels have in common."""

import importlib
import os

import pytest


@pytest.fixture(scope="module")
def language_patched_once():
    """Let Triton's interpreter replace the functions of its language once for a file, and look up types once.

    It does so, without this, whenever one function of a kernel calls another: half of the time of these tests.
    """
    interpreter = importlib.import_module("triton.runtime.interpreter")
    if os.environ.get("TRITON_INTERPRET") != "1" or not hasattr(interpreter, "_LangPatchScope"):
        yield  # there is a GPU, or another version of Triton
        return
    patch, language, patched = interpreter._patch_lang, (interpreter.tl, interpreter.tl.core), {}

    def patch_once(function):
        modules = frozenset(
            place
            for place, module in enumerate(language)
            if any(value is module for value in function.__globals__.values())
        )
        if modules not in patched:
            patched[modules] = patch(function)
        return interpreter._LangPatchScope()  # nothing to restore when a kernel ends

    look_up, found = interpreter._get_np_dtype, {}

    def looked_up(kind):
        if type(kind) is not interpreter.tl.dtype:  # of pointers and blocks
            return look_up(kind)
        if kind.name not in found:
            found[kind.name] = look_up(kind)
        return found[kind.name]

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(interpreter, "_patch_lang", patch_once)
        patches.setattr(interpreter, "_get_np_dtype", looked_up)
        yield
    for scope in reversed(patched.values()):
        scope.restore()
