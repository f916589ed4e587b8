"""What the walk takes for granted about jax. If a new jax breaks one of these, this is the place to begin."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core
from jax.extend.core import primitives

import rljax_viz
from rljax_viz.transforms import _interpret, bind, linear_prefix
from rljax_viz.transforms.linear_prefix import AFFINE

X = jnp.arange(3.0)
AFTER_0_10 = tuple(map(int, jax.__version__.split(".")[:2])) > (0, 10)
KNOWN = {primitive.name for primitive in vars(primitives).values() if isinstance(primitive, core.Primitive)}

# program, its primitive in jax.extend.core.primitives, the parameters that the walk reads
CONTROL = {
    "jit": (jax.jit(jnp.sin), "jit_p", {"jaxpr", "name"}),
    "remat": (jax.checkpoint(jnp.sin), "remat_p", {"jaxpr", "policy", "prevent_cse"}),
    "scan": (
        lambda x: jax.lax.scan(lambda c, v: (c, v), 0.0, x),
        "scan_p",
        {"jaxpr", "length", "reverse", "unroll", *(("ft_in",) if AFTER_0_10 else ("num_consts", "num_carry"))},
    ),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), "cond_p", {"branches"}),
    "while": (
        lambda x: jax.lax.while_loop(lambda x: x[0] < 0, jnp.sin, x),
        "while_p",
        {"cond_jaxpr", "body_jaxpr", "cond_nconsts", "body_nconsts"},
    ),
    "custom_jvp": (jax.nn.silu, "jit_p", {"jaxpr"}),
}


def only(f, name):
    return next(eqn for eqn in jax.make_jaxpr(f)(X).jaxpr.eqns if eqn.primitive.name == name)


@pytest.mark.parametrize("kind", CONTROL)
def test_control_flow_has_the_parameters_the_walk_reads(kind):
    f, primitive, params = CONTROL[kind]
    eqn = only(f, getattr(primitives, primitive).name)
    assert params <= eqn.params.keys(), f"jax {jax.__version__} renamed parameters of {kind}: {sorted(eqn.params)}"


def test_the_walk_enters_exactly_these():
    assert _interpret.REACHED == {getattr(primitives, f"{n}_p").name for n in ("jit", "remat", "scan", "cond", "while")}
    assert "custom_jvp_call" in _interpret.UNREACHED and "scan" not in _interpret.UNREACHED


def test_bodies_are_found_whatever_they_are_called():
    for kind, number in (("jit", 1), ("remat", 1), ("scan", 1), ("cond", 2), ("while", 2)):
        f, primitive, _ = CONTROL[kind]
        assert len(_interpret.bodies(only(f, getattr(primitives, primitive).name))) == number


def test_a_relu_looks_as_it_did():
    outer = only(jax.nn.relu, "custom_jvp_call") if not _jitted(jax.nn.relu) else only(jax.nn.relu, "jit")
    names = set()
    todo = [outer]
    while todo:
        eqn = todo.pop()
        names.add(eqn.primitive.name)
        todo += [e for body in _interpret.bodies(eqn) for e in body.eqns]
    assert names == {"custom_jvp_call", "jit", "max"}, f"jax {jax.__version__} writes relu as {names}"
    assert core.Literal is _interpret.Literal


def _jitted(f):
    return jax.make_jaxpr(f)(X).jaxpr.eqns[0].primitive.name == "jit"


def test_a_derivative_is_named_in_the_scope_of_its_equations():
    scopes = [_interpret.scope(eqn) for eqn in jax.make_jaxpr(jax.grad(lambda x: jnp.sin(x).sum()))(X).jaxpr.eqns]
    assert any("jvp(" in scope for scope in scopes), f"jax {jax.__version__}: guided(grad(f)) is no longer seen; {scopes}"


def test_the_primitives_known_as_affine_exist():
    ours = {"tag", "planned_conv"}
    missing = AFFINE - KNOWN - ours
    assert not missing - MADE_ELSEWHERE, f"jax {jax.__version__} has no primitive {sorted(missing)}: see linear_prefix.py"


MADE_ELSEWHERE = {"add_any", "copy", "copy_p", "split", "cumsum", "expand_dims", "reduce_window_sum"}  # not all are exported


def test_names_that_jax_does_not_export_are_still_in_use():
    programs = {
        "split": lambda x: jnp.split(x, 3),
        "cumsum": jax.lax.cumsum,
        "copy": jnp.copy,
        "add_any": jax.grad(lambda x: (jnp.sin(x) * jnp.cos(x)).sum()),
        "reduce_window_sum": lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2,), (1,), "VALID"),
    }
    for name, f in programs.items():
        assert f" {name}" in str(jax.make_jaxpr(f)(X)), f"jax {jax.__version__} no longer says {name!r}"


def test_an_equation_bound_again_is_the_same():
    for f in (jax.nn.relu, jax.nn.silu, jnp.linalg.norm, *(f for f, _, _ in CONTROL.values())):
        closed = jax.make_jaxpr(f)(X)
        env = dict(zip(closed.jaxpr.invars, [X], strict=True)) | dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        for eqn in closed.jaxpr.eqns:
            env.update(zip(eqn.outvars, bind(eqn, _interpret.read(env, eqn.invars)), strict=True))
        got = _interpret.read(env, closed.jaxpr.outvars)
        assert all(jnp.array_equal(a, b) for a, b in zip(got, jax.tree.leaves(f(X)), strict=True))


def test_one_file_touches_the_insides_of_jax():
    root = pathlib.Path(rljax_viz.__file__).parent
    for path in root.rglob("*.py"):
        for name in imported(ast.parse(path.read_text())):
            assert not name.startswith("jax._src"), path
            assert path.name == "_interpret.py" or not name.startswith(("jax.extend", "jax.interpreters")), path


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_nothing_is_left_running_in_a_tail():
    z, tail = linear_prefix(lambda _, x: jnp.tanh(2 * x))(None, X)
    assert [eqn.primitive.name for eqn in jax.make_jaxpr(tail)(z).jaxpr.eqns] == ["tanh"]
