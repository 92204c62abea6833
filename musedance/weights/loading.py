"""Loading weights with nothing missing and nothing left over."""

from collections.abc import Collection, Iterable, Mapping

from torch import Tensor, nn

from musedance.errors import InputError


def check_complete(
    source: str, missing: Collection[str] = (), left_over: Collection[str] = (), misshapen: Collection[str] = ()
) -> None:
    """Check that a source's tensors are exactly those that a model needs.

    Raises:
        InputError: naming the source, how many tensors are wrong, and the first of them.
    """
    problems = [
        f"{len(names)} {what} ({', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("left over", left_over), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise InputError(f"{source}: these weights do not fit, {'; '.join(problems)}")


def load_exactly(
    model: nn.Module, state: Mapping[str, Tensor], source: str, expected: Iterable[str] | None = None
) -> None:
    """Copy `state` into `model`, cast to the model's dtype, if it holds exactly the expected tensors.

    Args:
        model: real (not on the meta device).
        state: the weights.
        source: what error messages call them.
        expected: keys of `model` that the state has to fill; all of them unless given.

    Raises:
        InputError: a key is missing or left over, or a shape differs.
    """
    own = model.state_dict()
    keys = set(own if expected is None else expected)
    check_complete(
        source,
        missing=keys - state.keys(),
        left_over=state.keys() - keys,
        misshapen=[
            f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
            for key in keys & state.keys()
            if state[key].shape != own[key].shape
        ],
    )
    model.load_state_dict(state, strict=False)
