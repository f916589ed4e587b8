"""The words of the pictures: names that a person reads for methods and scores, and one sentence for each method."""

from collections.abc import Sequence

# `{score}` becomes the words of the score. Each sentence says what the two colours mean for that method.
_METHODS = {
    "gradient": ("Gradient", "Green: a brighter pixel here would raise {score}. Red: it would lower it."),
    "input_x_gradient": ("Input x gradient", "Green: this pixel, as bright as it is, raises {score}. Red: lowers it."),
    "guided_backprop": ("Guided backprop", "Green: brighter here raises {score}, red: darker does, "
                        "by positive paths alone."),
    "deconvnet": ("Deconvnet", "Green: what {score} answers to, by positive signals alone. Red: its opposite."),
    "integrated_gradients": ("Integrated gradients", "Green: what this pixel adds to {score}, red: what it takes, "
                             "against the baseline."),
    "layer_integrated_gradients": ("Layer integrated gradients", "Green: what this place of the layer adds to {score}. "
                                   "Red: what it takes."),
    "grad_cam": ("Grad-CAM", "Green: places whose features raise {score}, at the layer's own resolution."),
    "g1_grad_cam": ("G1 Grad-CAM", "Green: places whose features raise {score}, weighed by guided gradients."),
    "guided_grad_cam": ("Guided Grad-CAM", "Guided backprop where Grad-CAM finds evidence. "
                        "Green: brighter raises {score}, red: darker does."),
    "g2_grad_cam": ("G2 Grad-CAM", "Guided backprop where G1 Grad-CAM finds evidence. "
                    "Green: brighter raises {score}, red: darker does."),
    "occlusion": ("Occlusion", "Green: hiding this place lowers {score}. Red: hiding it raises it."),
    "perturbation": ("Perturbation", "Green: blurring this place changes {score}, in either direction."),
    "sarfa": ("SARFA", "Green: blurring this place weakens the chosen action and not the others."),
    "rise": ("RISE", "Green: {score} stays high when this place is seen."),
    "smooth_grad": ("SmoothGrad", "Green: a brighter pixel here would raise {score}, also under noise. Red: lower it."),
    "expected_gradients": ("Expected gradients", "Green: what this pixel adds to {score}, red: what it takes, "
                           "against other frames of the game."),
    "deep_lift": ("DeepLIFT", "Green: what this pixel adds to {score}, red: what it takes, against black."),
    "lrp": ("LRP", "Green: how much of {score} is handed down to this pixel. Red: what speaks against it."),
    "grad_cam_plus_plus": ("Grad-CAM++", "Green: places whose features raise {score}, weighed place by place."),
    "hires_cam": ("HiResCAM", "Green: what each place of the layer adds to {score}. Red: what it takes."),
    "layer_cam": ("LayerCAM", "Green: places whose features raise {score}, each weighed by its own slope."),
    "score_cam": ("Score-CAM", "Green: features through which alone {score} stays high."),
    "counterfactual": ("Counterfactual", "Green: blur this, and the agent does something else."),
    "attention_map": ("Attention", "Green: where the agent's own attention lies."),
}

_SHORT = {"input_x_gradient": "Input x grad", "guided_backprop": "Guided BP", "integrated_gradients": "Integrated",
          "layer_integrated_gradients": "Layer integr.", "smooth_grad": "Smooth",
          "expected_gradients": "Expected", "grad_cam_plus_plus": "CAM++", "counterfactual": "Counterf.",
          "guided_grad_cam": "Guided CAM", "g1_grad_cam": "G1 CAM",
          "g2_grad_cam": "G2 CAM", "perturbation": "Perturbed"}

_SCORES = {
    "value": "the value", "logits": "all actions", "q": "all actions", "entropy": "the entropy",
    "greedy_q": "q of the best action",
    "greedy_logit": "the logit of the best action", "chosen_q": "q of the chosen action",
    "chosen_logit": "the logit of the chosen action", "chosen_log_prob": "the log-probability of the chosen action",
}
_OF_ACTION = {"q": "q of {}", "logit": "the logit of {}", "log_prob": "the log-probability of {}",
              "advantage": "the advantage of {}"}


def method_name(method: str) -> str:
    """`guided_backprop` as a person writes it; an unknown name with its underscores taken out."""
    return _METHODS[method][0] if method in _METHODS else method.replace("_", " ").capitalize()


def short_name(method: str) -> str:
    """A name of a dozen letters, for a small picture."""
    return _SHORT.get(method, method_name(method))


def score_words(score: str, action_names: Sequence[str] = ()) -> str:
    """`logit:3` with four action names is `the logit of LEFT`; an unknown score stays as it is."""
    def action(text: str) -> str:
        if text in ("chosen", "greedy"):
            return "the chosen action" if text == "chosen" else "the best action"
        return action_names[int(text)] if text.isdigit() and int(text) < len(action_names) else f"action {text}"

    name, _, rest = score.partition(":")
    if name in _OF_ACTION and rest:
        return _OF_ACTION[name].format(action(rest))
    if name == "difference" and rest.count(",") == 1:
        first, second = rest.split(",")
        return f"{action(first.strip())} over {action(second.strip())}"
    return _SCORES.get(score, score.replace("_", " "))


def method_words(method: str, score: str, action_names: Sequence[str] = ()) -> str:
    """One sentence: what the colours of this method say about this score; what is true of any map if it is unknown."""
    sentence = _METHODS[method][1] if method in _METHODS else "Green speaks for {score}, red against it."
    return sentence.format(score=score_words(score, action_names))
