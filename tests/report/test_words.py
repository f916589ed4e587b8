import pytest

from rljax_viz.report.words import method_name, method_words, score_words, short_name


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ("value", "the value"),
        ("logit:2", "the logit of RIGHT"),
        ("logit:chosen", "the logit of the chosen action"),
        ("q:greedy", "q of the best action"),
        ("log_prob:7", "the log-probability of action 7"),
        ("difference:2,1", "RIGHT over LEFT"),
        ("chosen_q", "q of the chosen action"),
        ("my_own", "my own"),
    ],
)
def test_scores_in_words(score, words):
    assert score_words(score, ("NOOP", "LEFT", "RIGHT")) == words


def test_methods_in_words():
    assert method_name("g1_grad_cam") == "G1 Grad-CAM" and method_name("my_own_method") == "My own method"
    assert short_name("guided_backprop") == "Guided BP" and short_name("grad_cam") == "Grad-CAM"
    assert "raise the value" in method_words("gradient", "value")
    assert method_words("my_own", "value") == "Green speaks for the value, red against it."


def test_every_method_of_the_package_has_its_words():
    from rljax_viz.explain import METHODS
    from rljax_viz.report.words import _METHODS

    wrapped = {"smooth", "var_grad"}  # take another method and its words with them
    missing = {name for name in METHODS if name not in _METHODS} - wrapped
    assert not missing, f"words.py lacks a sentence for {sorted(missing)}"
