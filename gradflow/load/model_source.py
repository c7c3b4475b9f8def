"""From the name of a model to the model: picks the source that the name belongs to."""

from __future__ import annotations

from collections.abc import Callable

from gradflow.errors import LoadError, UsageError
from gradflow.load.files.kind import MODEL_SUFFIXES, existing_file, model_file_kind
from gradflow.load.paths import is_file, is_folder, special_kind, user_path
from gradflow.load.reference import build_reference, parse_arguments
from gradflow.load.request import Request
from gradflow.load.source import SourcedModel
from gradflow.load.user_code import UserCode, is_object_reference

__all__ = ["obtain_model"]


def obtain_model(request: Request, user_code: UserCode) -> SourcedModel:
    """The model that ``request`` names, on the device and in the mode it comes in.

    Raises
    ------
    LoadError, UntrustedFileError, UsageError
        With what to do about it; never another exception for bad input.
    """
    name = request.model
    if not name.strip():
        raise UsageError("no model is named", hint="for example `gradflow check train.py:build --layer auto`")
    if _is_file(name):
        if request.model_args and request.arch is None:
            raise UsageError("`--model-arg` is for models that are built, not for files")
        if request.weights is not None:
            raise UsageError(
                "`--weights` is for models that are built by name", hint="leave it out: the file has its own"
            )
        return _from_file(name, request, user_code)
    if request.arch is not None:
        if is_folder(user_path(name)):
            existing_file(name, "a model")  # says so, and which model files it holds
        raise UsageError(
            "`--arch` is for files that hold only weights",
            note=f"`{name}` is not a file",
            hint=f"check the file: `gradflow check WEIGHTS_FILE --arch {name}`",
        )
    return _build(name, request, user_code)


def _is_file(name: str) -> bool:
    path = user_path(name)
    if path.suffix == ".py":
        return False
    if path.suffix.lower() in MODEL_SUFFIXES and not is_object_reference(name):
        return True
    is_plain_name = name.isidentifier()  # a folder `resnet50` beside the user must not hide the model of that name
    return is_file(path) or bool(special_kind(path)) or (is_folder(path) and not is_plain_name)


def _build(name: str, request: Request, user_code: UserCode) -> SourcedModel:
    arguments = parse_arguments(request.model_args)
    kind, _, rest = name.partition(":")
    if kind == "timm" and rest:
        from gradflow.load.zoos.timm_zoo import build_timm

        return build_timm(rest, weights=request.weights, arguments=arguments)
    if (kind == "torchvision" and rest) or name.isidentifier():
        from gradflow.load.zoos.torchvision_zoo import build_torchvision

        return build_torchvision(rest or name, weights=request.weights, arguments=arguments)
    if request.weights is not None:
        raise UsageError(
            "`--weights` is for models of torchvision and timm",
            hint=f"for your own weights: `gradflow check WEIGHTS_FILE --arch {name}`",
        )
    if is_object_reference(name) or name.endswith(".py"):
        return build_reference(user_code, name, arguments)
    existing = existing_file(name, "a model") if "/" in name or "\\" in name else None
    raise LoadError(
        f"`{existing or name}` names no model",
        note="a model is a torchvision name (`resnet50`), `timm:NAME`, an object (`train.py:build`), or a file",
    )


def _from_file(name: str, request: Request, user_code: UserCode) -> SourcedModel:
    path = existing_file(name, "a model")
    kind = model_file_kind(path)
    build_arch: Callable[[], SourcedModel] | None = None
    if request.arch is not None:
        arch = request.arch
        if _is_file(arch) or arch.strip() == "":
            raise UsageError("`--arch` names what to build, not a file", hint="for example `--arch train.py:build`")
        build_arch = lambda: _build(arch, request, user_code)  # noqa: E731
    if kind == "safetensors":
        from gradflow.load.files.safetensors_file import load_safetensors

        return load_safetensors(path, build_arch=build_arch)
    if kind in ("TorchScript", "torch.export") and build_arch is not None:
        raise UsageError(f"`{name}` holds a whole model, so `--arch` has nothing to do", hint="leave `--arch` out")
    if kind == "TorchScript":
        from gradflow.load.files.torchscript import load_torchscript

        return load_torchscript(path, trust=request.trust)
    if kind == "torch.export":
        from gradflow.load.files.exported import load_exported

        return load_exported(path, trust=request.trust)
    from gradflow.load.files.saved_file import load_saved_file

    return load_saved_file(path, is_legacy=kind == "legacy torch.save", trust=request.trust, build_arch=build_arch)
