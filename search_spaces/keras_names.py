"""What Keras 3 calls its initializers, activations and optimizers, without importing Keras.

Read from keras 3.15 (https://keras.io/api/layers/initializers/, …/activations/,
https://keras.io/api/optimizers/). A test compares these names with the installed Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from search_spaces.errors import SearchSpaceError, suggestion

INITIALIZERS: Final = tuple(
    """
    glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones
    orthogonal random_normal random_uniform truncated_normal variance_scaling zeros
    """.split()
)
"""Every initializer that Keras makes from its name alone and that can fill a Dense kernel.

Not among them: `UNUSABLE_INITIALIZERS`.
"""

INITIALIZER_ALIASES: Final[Mapping[str, str]] = {
    **{"".join(word.capitalize() for word in name.split("_")): name for name in INITIALIZERS},
    "IdentityInitializer": "identity",
    "OrthogonalInitializer": "orthogonal",
    "normal": "random_normal",
    "one": "ones",
    "uniform": "random_uniform",
    "zero": "zeros",
}
"""Other names that Keras takes for the same: class names, and those of older versions."""

BIAS_INITIALIZERS: Final = tuple(
    name for name in INITIALIZERS if name not in ("identity", "orthogonal")
)
"""Those that can fill a bias, too: identity and orthogonal need a matrix."""

_NO_CONSTANT: Final = "Keras makes it only with a value: take 'zeros' or 'ones'"
_NO_STFT: Final = "it makes the kernel of a Fourier transform, with three axes, not that of a layer"
_NO_BASE: Final = "it is the base class of the others"

UNUSABLE_INITIALIZERS: Final[Mapping[str, str]] = {
    "Constant": _NO_CONSTANT,
    "constant": _NO_CONSTANT,
    "Initializer": _NO_BASE,
    "initializer": _NO_BASE,
    "STFT": _NO_STFT,
    "STFTInitializer": _NO_STFT,
    "stft": _NO_STFT,
}
"""Names that Keras knows and that can't be used here, with the reason."""

ACTIVATIONS: Final = tuple(
    """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax
    softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink
    """.split()
)
"""Every activation that Keras makes from its name alone and that keeps its input's shape."""

UNUSABLE_ACTIVATIONS: Final[Mapping[str, str]] = {
    "glu": "it halves the width of its input, so the layers after it would have to know",
    "threshold": "it needs a threshold and a value: make it in the builder",
}
"""Names that Keras knows and that can't be used here, with the reason."""

OPTIMIZERS: Final = tuple(
    """
    adadelta adafactor adagrad adam adamax adamw ftrl lion muon nadam rmsprop schedulefreeadamw
    sgd
    """.split()
)
"""Every optimizer that Keras makes from its name alone. Case does not matter, as in Keras."""

_WRAPS: Final = "it wraps other optimizers, which it needs as arguments: make it in the builder"

UNUSABLE_OPTIMIZERS: Final[Mapping[str, str]] = {
    "lamb": "keras.optimizers.get knows it only as an object: make it in the builder",
    "lossscaleoptimizer": _WRAPS,
    "multioptimizer": _WRAPS,
    "optimizer": _NO_BASE,
    "optimizermap": _WRAPS,
}
"""Names that Keras knows and that can't be used here, with the reason."""


def check_names(
    values: Sequence[str],
    what: str,
    known: Sequence[str],
    aliases: Iterable[str] = (),
    unusable: Mapping[str, str] | None = None,
    spelled: Callable[[str], str] = str,
) -> tuple[str, ...]:
    """Returns the values, if Keras knows all of them by name; aliases are not suggested."""
    if isinstance(values, str):
        raise SearchSpaceError(
            f"The {what} values must be a list or tuple of names, received {values!r}: write "
            f"({values!r},)."
        )
    accepted = {*known, *aliases}
    for value in values:
        if not isinstance(value, str):
            raise SearchSpaceError(f"A Keras {what} is given by its name, received {value!r}.")
        reason = (unusable or {}).get(spelled(value))
        if reason is not None:
            raise SearchSpaceError(f"Keras's {what} {value!r} can't be used by its name: {reason}.")
        if spelled(value) not in accepted:
            raise SearchSpaceError(f"Keras has no {what} {value!r}. {suggestion(value, known)}")
    return tuple(values)
