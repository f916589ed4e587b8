from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, record, scores


class Heads(NamedTuple):
    q: object = None
    value: object = None
    advantage: object = None
    logits: object = None
    action: object = None


Q = jnp.array([1.0, -2.0, 4.0])
LOGITS = jnp.array([0.5, 2.0, -1.0])
OUT = Heads(q=Q, value=jnp.float32(7), advantage=Q - 1, logits=LOGITS, action=jnp.int32(2))
LOG_P = np.log(np.exp(LOGITS) / np.exp(LOGITS).sum())

EXPECTED = {
    "value": 7.0,
    "entropy": -(np.exp(LOG_P) * LOG_P).sum(),
    "q:1": -2.0,
    "logit:0": 0.5,
    "log_prob:1": LOG_P[1],
    "advantage:2": 3.0,
    "q:greedy": 4.0,
    "logit:greedy": 2.0,
    "q:chosen": 4.0,
    "logit:chosen": -1.0,
    "log_prob:chosen": LOG_P[2],
    "difference:1,2": 3.0,
}


@pytest.mark.parametrize("text", EXPECTED)
def test_values_from_the_command_lines_words(text):
    np.testing.assert_allclose(jax.jit(scores.parse(text))(OUT), EXPECTED[text], rtol=1e-6)


def test_the_same_scores_from_python():
    by_name = {
        "value": scores.value, "entropy": scores.entropy, "q:1": scores.q(1), "logit:0": scores.logit(0),
        "log_prob:1": scores.log_prob(1), "advantage:2": scores.advantage(2), "q:greedy": scores.greedy_q,
        "logit:greedy": scores.greedy_logit, "q:chosen": scores.chosen_q, "logit:chosen": scores.chosen_logit,
        "log_prob:chosen": scores.chosen_log_prob, "difference:1,2": scores.difference(1, 2),
    }  # fmt: skip
    assert by_name.keys() == EXPECTED.keys()
    for text, score in by_name.items():
        np.testing.assert_allclose(score(OUT), EXPECTED[text], rtol=1e-6, err_msg=text)


def test_difference_is_of_q_where_there_are_no_logits():
    np.testing.assert_allclose(scores.difference(2, 1)(Heads(q=Q)), 6.0)


def test_the_greedy_action_is_constant_under_differentiation():
    slope = jax.grad(lambda logits: scores.greedy_logit(Heads(logits=logits)))(LOGITS)
    np.testing.assert_array_equal(slope, [0, 1, 0])
    slope = jax.grad(lambda q: scores.greedy_q(Heads(q=q)))(jnp.array([1.0, 1.0, 0.0]))  # a tie: one of them, not half
    np.testing.assert_array_equal(slope, [1, 0, 0])


def test_slopes_of_log_prob_and_entropy_by_finite_differences():
    logits = np.asarray(LOGITS, np.float64)

    def log_p(x):
        return x - np.log(np.exp(x).sum())

    cases = {
        scores.log_prob(2): lambda x: log_p(x)[2],
        scores.entropy: lambda x: -(np.exp(log_p(x)) * log_p(x)).sum(),
    }
    for score, exact in cases.items():
        slope = jax.grad(lambda x, score=score: score(Heads(logits=x)))(LOGITS)
        eps = 1e-5 * np.eye(3)
        np.testing.assert_allclose(slope, [(exact(logits + e) - exact(logits - e)) / 2e-5 for e in eps], atol=1e-6)


def test_entropy_with_impossible_actions():
    logits = jnp.array([0.0, 0.0, -jnp.inf])
    np.testing.assert_allclose(scores.entropy(Heads(logits=logits)), np.log(2), rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: scores.entropy(Heads(logits=x)))(logits)).all()


def test_every_action_at_once():
    def f(params, obs):
        return Heads(logits=params @ obs)

    w = jnp.arange(6.0).reshape(2, 3)
    maps = jax.vmap(lambda a: gradient(f, scores.logit(a))(w, jnp.ones(3)))(jnp.arange(2))
    np.testing.assert_array_equal(maps, w)


def test_a_recorded_action_outside_shows_as_nan_in_value_and_map():
    def f(params, obs):
        return Heads(logits=params @ obs, q=params @ obs)

    for score in (scores.chosen_logit, scores.chosen_q, scores.chosen_log_prob):
        for action in (-1, 3):
            map = jax.jit(gradient(record(f), score))(jnp.ones((3, 4)), jnp.ones(4), jnp.int32(action))
            assert np.isnan(map).all()
            assert np.isnan(score(record(f)(jnp.ones((3, 4)), jnp.ones(4), jnp.int32(action))))


@pytest.mark.parametrize("name", ["q", "value", "advantage", "logits"])
def test_a_missing_head_is_named_with_what_there_is(name):
    out = OUT._replace(**{name: None})
    need = {
        "q": [scores.q(0), scores.greedy_q, scores.chosen_q],
        "value": [scores.value],
        "advantage": [scores.advantage(0)],
        "logits": [scores.logit(0), scores.log_prob(0), scores.entropy, scores.greedy_logit, scores.chosen_logit,
                   scores.chosen_log_prob],
    }  # fmt: skip
    there = [n for n in Heads._fields if n != name]
    for score in need[name]:
        with pytest.raises(ValueError, match=f"Heads has no `{name}`; it has ") as error:
            score(out)
        assert str(there) in str(error.value)


def test_no_head_for_a_difference():
    with pytest.raises(ValueError, match="no `logits`; it has \\['value'\\]"):
        scores.difference(0, 1)(Heads(value=jnp.float32(0)))


def test_a_missing_recorded_action_says_how_to_record():
    for score in (scores.chosen_q, scores.chosen_logit, scores.chosen_log_prob):
        with pytest.raises(ValueError, match=r"no `action`.*record\(f\)\(params, obs, action\)"):
            score(OUT._replace(action=None))


def test_actions_that_do_not_exist():
    for make in (scores.q, scores.logit, scores.log_prob, scores.advantage, lambda a: scores.difference(0, a)):
        for bad in (-1, 1.0, "1", True, None):
            with pytest.raises(ValueError, match="whole number from 0"):
                make(bad)
        with pytest.raises(ValueError, match="there is no action 3"):
            make(3)(OUT)
        with pytest.raises(ValueError, match="one whole number, got shape"):
            make(jnp.arange(2))
    with pytest.raises(ValueError, match="one whole number, got shape"):
        scores.chosen_q(OUT._replace(action=jnp.array([1, 2])))


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"of ONE observation is \[A\], got shape \(5, 3\)"):
        scores.q(0)(Heads(q=jnp.zeros((5, 3))))


@pytest.mark.parametrize(
    "text",
    ["", "logit", "logit:", "logit:-1", "logit:x", "logit:1,2", "difference:1", "value:1", "entropy:chosen", "q:1.5"],
)
def test_parse_refuses_and_lists_what_exists(text):
    with pytest.raises(ValueError, match="There are: value, entropy") as error:
        scores.parse(text)
    assert all(form in str(error.value) for form in scores.FORMS)


def test_parse_suggests():
    with pytest.raises(ValueError, match="Did you mean 'logit:chosen'"):
        scores.parse("logit:choosen")
    with pytest.raises(ValueError, match="Did you mean 'value'"):
        scores.parse("vlaue")
