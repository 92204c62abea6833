"""`from_pretrained` of diffusers and transformers, made strict: nothing missing, nothing left over, one clear line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from diffusers import ModelMixin
from diffusers.utils import logging as diffusers_logging
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from musedance.errors import InputError

from .checkpoint_file import pickle_refusal
from .loading import check_complete

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def source_kind(source: str) -> Literal["file", "folder", "hub"]:
    """What a source is.

    Raises:
        InputError: neither of the three.
    """
    path = Path(source)
    if path.is_file():
        return "file"
    if path.is_dir():
        return "folder"
    if _HUB_ID.fullmatch(source):
        return "hub"
    raise InputError(f"{source}: there is no such file or folder, and it is no hub id (owner/name)")


def load_part(cls: type, source: str, what: str, **kwargs: Any) -> Any:
    """`cls.from_pretrained` for a tokenizer or feature extractor.

    Args:
        cls: a class of transformers.
        source: a folder or hub id.
        what: what error messages call it.
        **kwargs: for `from_pretrained`.

    Raises:
        InputError: it cannot be read or downloaded.
    """
    if source_kind(source) == "file":
        raise InputError(f"cannot read {what}: {source} is a file, give a folder or a hub id")
    try:
        with quiet_libraries():
            return cls.from_pretrained(source, **kwargs)  # type: ignore[attr-defined]
    except Exception as error:  # each library, format and hub failure has a type of its own
        raise InputError(f"cannot read {what} of {source}: {_reason(error, source)}") from error


def load_model(
    cls: type[ModelMixin] | type[PreTrainedModel], source: str, what: str, may_be_left_over: str = "(?!)", **kwargs: Any
) -> tuple[Any, list[str]]:
    """`cls.from_pretrained` for a model, stopping on any tensor that is missing, left over or of another shape.

    Args:
        cls: a model class of diffusers or transformers.
        source: a folder or hub id.
        what: what error messages call it.
        may_be_left_over: pattern of the keys that the model has no use for; none unless given.
        **kwargs: for `from_pretrained`.

    Returns:
        The model and the keys left over.

    Raises:
        InputError: it cannot be read or downloaded, or does not fit.
    """
    if issubclass(cls, PreTrainedModel):
        kwargs["ignore_mismatched_sizes"] = True  # they are refused below, by name
    model, info = load_part(cls, source, what, output_loading_info=True, **kwargs)
    left_over = [key for key in info["unexpected_keys"] if re.match(may_be_left_over, key)]
    check_complete(
        f"{what} of {source}",
        missing=info["missing_keys"],
        left_over=set(info["unexpected_keys"]) - set(left_over),
        misshapen=[str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]],
    )
    return model, left_over


def _reason(error: Exception, source: str) -> str:
    reason = pickle_refusal(error) or str(error).strip().split("\n")[0] or type(error).__name__
    return (
        f"{reason} (from the hub: is the name right, and is there a network?)" if not Path(source).exists() else reason
    )


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what diffusers and transformers say of weights off the terminal, such as tables of missing keys."""
    before = [(logging, logging.get_verbosity()) for logging in (diffusers_logging, transformers_logging)]
    for logging, _ in before:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        for logging, verbosity in before:
            logging.set_verbosity(verbosity)
