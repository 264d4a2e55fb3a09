"""Ready-made parameters that regularize: L1 and L2 penalties, dropout, batch normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from search_spaces.parameters.choice_parameter import Boolean
from search_spaces.parameters.parameter import Declared, Parameter
from search_spaces.parameters.ranged import Float
from search_spaces.parameters.scalars import NOT_GIVEN
from search_spaces.ready_made.usual import check_bounds


def l1(
    low: float = 1e-6,
    high: float = 1e-1,
    *,
    off: bool = True,
    name: str = "l1",
    default: float | None = None,
    role: str = "nuisance",
    when: Mapping[str, object] | None = None,
) -> Float | tuple[Boolean, Float]:
    """The factor of an L1 penalty on weights, usually 1e-6 to 1e-1 on a log scale, or off.

    Bengio 2012 (arXiv:1206.5533, section 3.2) treats the coefficients of both penalties as
    hyperparameters to be searched on a log scale; Keras's own default, 0.01
    (https://keras.io/api/layers/regularizers/), lies in the range. The range is our own choice.
    Zero has no logarithm, so "off" is a switch, and a builder reads 0.0 while it is off: pass
    `hp["l1"]` to `keras.regularizers.L1` without asking for the switch.

    Args:
        low: The smallest factor, above 0.
        high: The largest factor.
        off: Whether the penalty may be off.
        name: What the factor is called; its switch is called "use_" and this.
        default: The factor to begin with; left out, the range's middle. The switch begins off.
        role: "nuisance" or "scientific".
        when: The condition under which the penalty is active at all; else the factor reads 0.0.

    Returns:
        The switch and the factor; with `off=False`, the factor.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.SearchSpace(ks.l1()).names
        ('use_l1', 'l1')
        >>> ks.l1(off=False)
        Float('l1', 1e-06, 0.1, scale='log')
    """
    return _penalty(name, low, high, off=off, default=default, role=role, when=when)


def l2(
    low: float = 1e-6,
    high: float = 1e-1,
    *,
    off: bool = True,
    name: str = "l2",
    default: float | None = None,
    role: str = "nuisance",
    when: Mapping[str, object] | None = None,
) -> Float | tuple[Boolean, Float]:
    """The factor of an L2 penalty on weights, usually 1e-6 to 1e-1 on a log scale, or off.

    The sources and the "off" are those of `l1`; a builder reads 0.0 while it is off.

    Args:
        low: The smallest factor, above 0.
        high: The largest factor.
        off: Whether the penalty may be off.
        name: What the factor is called; its switch is called "use_" and this.
        default: The factor to begin with; left out, the range's middle. The switch begins off.
        role: "nuisance" or "scientific".
        when: The condition under which the penalty is active at all; else the factor reads 0.0.

    Returns:
        The switch and the factor; with `off=False`, the factor.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> space = ks.SearchSpace(ks.l2())
        >>> space.resolve({"use_l2": False})
        {'use_l2': False, 'l2': 0.0}
    """
    return _penalty(name, low, high, off=off, default=default, role=role, when=when)


def l1_l2(
    low: float = 1e-6,
    high: float = 1e-1,
    *,
    off: bool = True,
    names: tuple[str, str] = ("l1", "l2"),
    default: float | None = None,
    role: str = "nuisance",
    when: Mapping[str, object] | None = None,
) -> tuple[Parameter, ...]:
    """Both penalties, each with its own factor and switch: `l1(...)` and `l2(...)`.

    With both, a builder passes `keras.regularizers.L1L2(hp["l1"], hp["l2"])`: the elastic net of
    Zou and Hastie 2005.

    Args:
        low: The smallest factor of either, above 0.
        high: The largest factor of either.
        off: Whether each penalty may be off.
        names: What the factors are called.
        default: The factor to begin with, of either; left out, the range's middle.
        role: "nuisance" or "scientific".
        when: The condition under which the penalties are active at all; else they read 0.0.

    Returns:
        A group.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.SearchSpace(ks.l1_l2()).names
        ('use_l1', 'l1', 'use_l2', 'l2')
    """
    group: list[Parameter] = []
    for name in names:
        made = _penalty(name, low, high, off=off, default=default, role=role, when=when)
        group.extend((made,) if isinstance(made, Float) else made)
    return tuple(group)


def _penalty(
    name: str,
    low: float,
    high: float,
    *,
    off: bool,
    default: float | None,
    role: str,
    when: Mapping[str, object] | None,
) -> Float | tuple[Boolean, Float]:
    switch = f"use_{name}"
    condition = {switch: True} if off else when
    factor = Float(
        name,
        low,
        high,
        scale="log",
        default=default,
        role=role,
        when=condition,
        otherwise=0.0 if condition else NOT_GIVEN,
    )
    return (Boolean(switch, role=role, when=when), factor) if off else factor


def dropout(
    low: float = 0.0,
    high: float = 0.5,
    *,
    step: float | None = None,
    name: str = "dropout",
    default: float | None = None,
    **declared: Unpack[Declared],
) -> Float:
    """The fraction of units that a dropout layer sets to zero, usually 0.0 to 0.5.

    Srivastava et al. 2014 (JMLR 15, "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting", appendix A.4): hidden units are kept with a probability of 0.5 to 0.8, so 0.2 to
    0.5 are dropped. In Keras, the `rate` of https://keras.io/api/layers/regularization_layers/dropout/.

    Args:
        low: The smallest fraction, 0 or more.
        high: The largest fraction, below 1.
        step: The difference between neighbours; None for any fraction.
        name: What the parameter is called.
        default: The fraction to begin with; left out, the range's middle.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.dropout(0.0, 0.6, step=0.2)
        Float('dropout', 0.0, 0.6, step=0.2)
    """
    check_bounds("A dropout rate", low, high, 0.0, 1.0)
    return Float(name, low, high, step=step, default=default, **declared)


def batch_normalization(
    *, name: str = "batch_normalization", default: bool = False, **declared: Unpack[Declared]
) -> Boolean:
    """Whether to normalize each layer over its batch.

    Ioffe and Szegedy 2015 (arXiv:1502.03167). In Keras, the layer
    https://keras.io/api/layers/normalization_layers/batch_normalization/.

    Args:
        name: What the parameter is called.
        default: Whether to begin with it.
        **declared: `role`, `when` and `otherwise`, as every parameter takes them.

    Raises:
        SearchSpaceError: If any of them is wrong.

    Example:
        >>> ks.batch_normalization()
        Boolean('batch_normalization')
    """
    return Boolean(name, default=default, **declared)


batchnorm = batch_normalization
"""Another name for `batch_normalization`; the parameter is called the same."""
