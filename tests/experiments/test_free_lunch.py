"""Free-lunch saliency: its small pieces, and (long) the tiniest setting of every figure and table."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from experiments.claims import difference, settled
from experiments.free_lunch import figure3, figure4, looks, paper, table2, table3, table4, table5
from experiments.scale import Experiment, begin
from rljax_viz.envs import make_preset


def test_the_paper_s_tables_name_networks_that_are_here():
    from rljax_viz import networks

    names = {model.network for model in paper.MODELS} | {model.twin for model in paper.MODELS if model.twin}
    assert names <= set(networks.NAMES) and len(paper.MODELS) == 15
    for table in (paper.SIZES, paper.SCORES, paper.GAZE, paper.INFINITE):
        assert set(table) <= {model.network for model in paper.MODELS}
    assert {len(row) for row in paper.SCORES.values()} == {len(paper.GAMES)}


def test_a_map_in_white_and_in_green():
    raw, map = np.full((4, 4, 3), 100, np.uint8), np.zeros((2, 2), np.float32)
    np.testing.assert_array_equal(figure4.raw_with_white(raw, map), raw)
    assert (figure4.raw_with_white(raw, map + 1) == 255).all()
    picture = figure4.processed(np.full((2, 2, 1), 7, np.uint8), map + 0.4, np.eye(2))
    assert picture.dtype == np.uint8 and picture[0, 0].tolist() == [255, 102, 7] and picture[0, 1].tolist() == [0, 102, 7]


def test_area_is_small_for_a_crisp_map():
    maps = np.stack([np.eye(4), np.ones((4, 4))])
    np.testing.assert_allclose(looks.area(maps), [0.25, 1.0])


def test_scores_that_are_lower_are_told_so():
    seeds = lambda *returns: [{"returns": [r, r]} for r in returns]  # noqa: E731
    found = {"game": {"nature": seeds(9, 10, 11), "sparse-fls": seeds(10, 11, 12), "dense-fls-sum-pool": seeds(1, 2, 3)}}
    verdicts = {claim.text: claim.verdict for claim in table3.claims(found)}
    assert verdicts["Dense FLS + sum-pooling is lower than Sparse FLS"] == "reproduced"
    assert verdicts["Sparse FLS performs similarly to the baseline (not a quarter below it)"] == "reproduced"
    better = {"game": {"sparse-fls": seeds(10, 11, 12), "sparse-fls-conv1": seeds(20, 21, 22)}}
    (told,) = (c for c in table3.claims(better) if c.text.startswith("FLS after the first"))
    assert told.verdict == "not reproduced"  # it does affect performance: for the better
    assert verdicts["1x1 convolutions in the module make little difference"] == "beyond this scale"


def test_seeds_that_are_far_apart_leave_a_claim_open():
    def verdicts(**scores):
        found = {"game": {n.replace("_", "-"): [{"returns": [r]} for r in seeds] for n, seeds in scores.items()}}
        curves = {"game": {n.replace("_", "-"): ([1], [[r] for r in seeds]) for n, seeds in scores.items()}}
        tables, figures = table3.claims(found), figure3.claims(curves)
        return [{c.text: c.verdict for c in claims}.get for claims in (tables, figures)]

    same = "Sparse FLS performs similarly to the baseline (not a quarter below it)"
    lower = "Dense FLS + sum-pooling is lower than Sparse FLS", "Dense FLS achieves lower rewards than Sparse FLS"
    wide = verdicts(nature=(10, 40, 70), sparse_fls=(2, 10, 12), dense_fls_sum_pool=(1, 8, 13))
    for told, dense in zip(wide, lower, strict=True):
        assert told(same) == told(dense) == "beyond this scale"
    clear = verdicts(nature=(40, 41, 42), sparse_fls=(10, 11, 12), dense_fls_sum_pool=(10.5, 11, 11.5))
    for told, dense in zip(clear, lower, strict=True):
        assert told(same) == told(dense) == "not reproduced"
    for unknown in ((float("nan"), 10, 11), (10,)):  # no game ended; one seed
        for told in verdicts(nature=(10, 11, 12), sparse_fls=unknown):
            assert told(same) == "beyond this scale"
    for told in verdicts(nature=(0, 0, 0), sparse_fls=(0, 0, 0)):
        assert told(same) == "beyond this scale"  # neither has learned anything


def test_gaze_that_was_not_measured_is_no_verdict():
    nss = lambda *values: {"nature": {"nss": [values[0]]}, "sparse-fls": {"nss": [values[1]]}}  # noqa: E731
    told = lambda people: [claim.verdict for claim in table4.claims(people, None)]  # noqa: E731
    assert told({"A": nss(1, 2), "B": nss(2, 1)}) == ["reproduced"] * 2
    assert told({"A": nss(1, 2), "B": nss(float("nan"), 1)}) == ["beyond this scale"] * 2


def test_a_difference_is_welch_s_in_units_of_the_other():
    from scipy.stats import ttest_ind

    ours, theirs = np.array([9.0, 10, 11]), np.array([16.0, 20, 24, 20])
    want = ttest_ind(ours / 20, theirs / 20, equal_var=False).confidence_interval(0.95)
    found = difference(ours[:, None], theirs[:, None])
    np.testing.assert_allclose(found, (-0.5, want.low, want.high))
    games = difference(np.stack([ours, ours], -1), np.stack([theirs, 10 * theirs], -1))
    assert games.value == pytest.approx(-0.725) and settled(games, "lower") and settled(games, "kept") is False
    assert settled(difference([10.0, 10], [10.0, 10]), "similar") is None  # no spread: nothing is known of it


def test_breakout_without_an_end_is_judged_only_where_both_walls_were_cleared():
    verdicts = lambda found, why="": [claim.verdict for claim in table5.claims(found, why)]  # noqa: E731
    assert verdicts({}, "no ale-py") == ["beyond this scale"] * 3
    game, infinite = table5.GAMES
    assert verdicts({"nature": {game: [[300, 400]], infinite: [[310, 420]]}}) == ["beyond this scale"] * 3
    assert verdicts({"nature": {game: [[864, 800]], infinite: [[900, 820]]}}) == ["reproduced"] * 3
    assert verdicts({"nature": {game: [[864, 800]], infinite: [[999, 1200]]}})[1] == "not reproduced"


def test_games_of_the_paper_s_evaluation_are_as_long_as_theirs(monkeypatch):
    seen = []
    agent = SimpleNamespace(preset=make_preset("baselines", "Enduro-v5"), make_env=lambda n, preset: seen.append(preset))
    result = SimpleNamespace(returns=np.zeros(2), lengths=np.ones(2))
    monkeypatch.setattr("rljax_viz.runs.load_agent", lambda run, seed_index: agent)
    monkeypatch.setattr("rljax_viz.runs.evaluate", lambda *args, **options: result)
    table3.play([SimpleNamespace(run="r", seed_index=0)], 2)
    assert seen[0].max_episode_steps == 108_000 and not seen[0].life_loss
    assert paper.most_steps("BreakoutInfinite-v5") == 30_000


@pytest.mark.parametrize("module", [figure4, table4])
def test_a_folder_of_gaze_that_is_not_there_is_told_before_anything_is_trained(module, tmp_path):
    at = Experiment("smoke", tmp_path, "command")
    with pytest.raises(FileNotFoundError, match=r"--gaze .*nowhere is no folder"):
        module.main(at, gaze=tmp_path / "nowhere", tiny=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_people_s_gaze_beside_six_architectures(tmp_path):
    from tests.measure.test_atari_head import frames, write_trial

    write_trial(tmp_path / "head", frames(), gaze={n: [(80.0, 100.0 + n)] for n in range(1, 30)})
    at = Experiment("smoke", tmp_path / "smoke" / "figure4", "command")
    with pytest.warns(UserWarning, match="meta_data"):
        found = figure4.compare_gaze(at, tmp_path / "head", "Breakout-v5", 4, tiny=True)
    pixels = np.asarray(Image.open(at.folder / found["picture"]).convert("RGB")).astype(int)
    assert (pixels[..., 0] > pixels[..., 1:].max(-1) + 100).any()  # gaze is red


@pytest.mark.long
@pytest.mark.parametrize("games", ["minatar", "atari"])
def test_every_table_and_figure_runs(tmp_path, games):
    for module in (table2, figure3, table3, figure4, table4, table5):
        name = module.__name__.rpartition(".")[2]
        options = {} if module is table2 else {"tiny": True}
        begin(module.main, tmp_path / name, "smoke", "command", games, **options)
        text = (tmp_path / name / "report.md").read_text()
        assert "beyond this scale" in text or "reproduced" in text
        for picture in (tmp_path / name).glob("*.png"):
            assert picture.stat().st_size > 5_000
    assert (tmp_path / "figure4" / "minatar.png").exists() == (games == "minatar")
    assert (tmp_path / "figure4" / "Breakout-v5.png").exists()
