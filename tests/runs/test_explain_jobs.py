"""The job over a recording: in one pass, in parts, estimated, checked, and refused where the recording is another's."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.envs import Preset, make_preset
from rljax_viz.explain import attention_map
from rljax_viz.networks import Output
from rljax_viz.runs import estimate_run, explain_run, import_recording, load_agent, methods_of, verify_run
from rljax_viz.runs.foreign import described
from rljax_viz.store import DamagedStore, Episodes, create_episodes, create_maps, open_maps

SCORES = ["value", "logit:chosen"]


@pytest.fixture
def run(explained, tmp_path):
    """The recorded games without their maps."""
    shutil.copytree(explained, tmp_path / "run", ignore=shutil.ignore_patterns("maps"))
    return tmp_path / "run"


def test_together_is_the_same_as_one_after_another(run, tmp_path):
    agent = load_agent(run)
    methods = ["gradient", "smooth_grad", "grad_cam"]
    shutil.copytree(run, tmp_path / "alone")
    done = explain_run(agent, run, methods, SCORES, together=True)
    alone = explain_run(agent, tmp_path / "alone", methods, SCORES)
    assert [(d.method, d.score, d.layer) for d in done] == [(d.method, d.score, d.layer) for d in alone] and len(done) == 6
    assert {d.skipped for d in done} == {0}
    for one, other in zip(done, alone, strict=True):
        a, b = open_maps(one.path), open_maps(other.path)
        assert a.done.all() and a.attributes == b.attributes
        np.testing.assert_allclose(a[:], b[:], atol=2e-3 * np.abs(b[:]).max())
    more = explain_run(agent, run, [*methods, "deconvnet"], ["value"], together=True)
    assert [d.skipped for d in more] == [d.frames for d in done[:3]] + [0]


def test_parts_make_the_whole_and_bytes_are_smaller(run):
    agent = load_agent(run)
    frames = 0
    for part in range(3):
        (done,) = explain_run(agent, run, ["gradient"], ["value"], dtype="uint8", part=(part, 3))
        frames += done.frames
    maps = open_maps(done.path)
    assert maps.done.all() and frames == len(maps) and maps.stored_dtype == "uint8"
    explain_run(agent, run, ["gradient"], ["value"], dtype="uint8")
    with pytest.raises(ValueError, match="dtype is 'uint8' there and 'float16' here"):
        explain_run(agent, run, ["gradient"], ["value"])
    with pytest.raises(ValueError, match="counted from 0 to n - 1, got 3/3"):
        explain_run(agent, run, ["deconvnet"], ["value"], part=(3, 3))


def test_an_estimate_writes_nothing_and_knows_what_is_done(run):
    agent = load_agent(run)
    explain_run(agent, run, ["gradient"], ["value"])
    before = sorted(run.rglob("*"))
    done, other = estimate_run(agent, run, ["gradient", "grad_cam"], ["value"])
    assert sorted(run.rglob("*")) == before
    assert (done.frames, done.seconds, done.gigabytes) == (0, 0, 0)
    count = len(open_maps(run / "maps/gradient-value.zarr"))
    assert other.layer == "conv1" and other.frames == count and 0 < other.seconds < 600
    assert other.gigabytes == pytest.approx(count * (8 * 8 * 2 + 6) / 1e9)


def test_damaged_maps_are_found_and_made_again(run):
    agent = load_agent(run)
    explain_run(agent, run, ["gradient", "deconvnet"], ["value"])
    whole = open_maps(run / "maps/gradient-value.zarr")[:]
    assert not any(report.faults for report in verify_run(run))
    file = next((run / "maps/gradient-value.zarr/map").glob("c.*"))
    file.write_bytes(file.read_bytes()[:-30])
    reports = {report.path.name: report for report in verify_run(run)}
    assert [name for name, report in reports.items() if report.faults] == ["gradient-value.zarr"]
    verify_run(run, mend=True)
    (done,) = explain_run(agent, run, ["gradient"], ["value"])
    assert done.skipped < done.frames
    np.testing.assert_array_equal(open_maps(run / "maps/gradient-value.zarr")[:], whole)
    assert not any(report.faults for report in verify_run(run))


def test_maps_that_cannot_be_opened_are_made_again(run):
    agent = load_agent(run)
    explain_run(agent, run, ["gradient"], ["value"])
    path = run / "maps/gradient-value.zarr"
    whole = open_maps(path)[:]
    about = path / "zarr.json"
    about.write_bytes(about.read_bytes()[:20])
    (_, report) = verify_run(run)
    assert report.path == path and report.faults
    with pytest.raises(DamagedStore, match="deleting their folder"):
        explain_run(agent, run, ["gradient"], ["value"])
    verify_run(run, mend=True)
    explain_run(agent, run, ["gradient"], ["value"])
    np.testing.assert_array_equal(open_maps(path)[:], whole)


def test_maps_that_were_begun_keep_their_tile(run):
    agent = load_agent(run)
    (first,) = explain_run(agent, run, ["gradient"], ["value"], tile=8)
    assert open_maps(first.path).attributes["tile"] == 8
    (again,) = explain_run(agent, run, ["gradient"], ["value"], tile=None)
    assert again.skipped == again.frames


def write(path, agent, frames, padding="repeat", **changes):
    attributes = {"checkpoint": agent.checkpoint, "preset": agent.preset.to_json(), "action_names": list(agent.action_names)}
    columns = {"action": ((), "int32")}
    options = {"stack": 1, "padding": padding, "columns": columns, "attributes": {**attributes, **changes}}
    shape = np.shape(frames)[1:]
    with create_episodes(path / "episodes.zarr", frame_shape=shape, overwrite=True, **options) as writer:
        count = len(frames)
        if count:
            writer.append(frames=frames, stack_start=np.arange(count) == 0, action=np.zeros(count, np.int32))


def test_recordings_that_are_not_this_agents_are_refused(run):
    agent = load_agent(run)
    shape = agent.obs_shape
    frames = np.zeros((3, *shape), np.uint8)

    def refuses(message, **options):
        with pytest.raises(ValueError, match=message):
            explain_run(agent, run, ["gradient"], ["value"], **options)

    write(run, agent, frames[:0])
    refuses("holds no steps yet: rljax-viz play .* --record --overwrite")
    write(run, agent, frames, preset={**agent.preset.to_json(), "env_id": "Asterix-MinAtar"})
    refuses("cannot be shown to this agent: .*env_id: 'Asterix-MinAtar', trained on 'Breakout-MinAtar'")
    write(run, agent, frames, padding="zeros")
    refuses("cannot be shown to this agent: .*padding: 'zeros', trained on 'repeat'")
    write(run, agent, np.moveaxis(frames, -1, 1))
    refuses(r"sees \[10, 10, 4\]. Its channels stand first: frames are \[N H W C\]")
    write(run, agent, frames[:, :8])
    refuses(r"holds observations \[8, 10, 4\], .* sees \[10, 10, 4\]$")
    write(run, agent, frames, checkpoint="another")
    refuses("holds games of checkpoint another, .* or name the agent that is to look at them: --agent")
    assert explain_run(agent, run, ["gradient"], ["value"], any_checkpoint=True)[0].frames == 3
    shutil.rmtree(run / "maps")
    write(run, agent, frames, checkpoint=None)
    assert explain_run(agent, run, ["gradient"], ["value"])[0].frames == 3  # nobody says whose games these are


def test_maps_of_another_agent_are_not_mixed(run):
    agent = load_agent(run)
    explain_run(agent, run, ["gradient"], ["value"])
    other = agent._replace(checkpoint="0" * 16, name="zoo:other")
    with pytest.raises(ValueError, match=r"holds other maps: .*attributes\['checkpoint'\] is"):
        explain_run(other, run, ["gradient"], ["value"], any_checkpoint=True)


def test_the_nearest_name_is_offered(run):
    agent = load_agent(run)
    for method, score, layer, message in [
        ("gradcam", "value", None, "did you mean 'grad_cam'"),
        ("grad_cam", "value", "conv", "no layer 'conv', did you mean 'conv1'"),
        ("gradient", "vlaue", None, "value"),
    ]:
        with pytest.raises(ValueError, match=message):
            explain_run(agent, run, [method], [score], layer=layer)


def test_a_recording_without_actions(run):
    agent = load_agent(run)
    attributes = {"checkpoint": None, "preset": agent.preset.to_json(), "action_names": []}
    options = {"stack": 1, "padding": "repeat", "attributes": attributes, "columns": {}, "overwrite": True}
    with create_episodes(run / "episodes.zarr", frame_shape=agent.obs_shape, **options) as writer:
        writer.append(frames=np.zeros((3, *agent.obs_shape), np.uint8), stack_start=np.arange(3) == 0)
    with pytest.raises(ValueError, match="holds no actions, so 'logit:chosen' has no meaning; take logit:greedy"):
        explain_run(agent, run, ["gradient"], ["logit:chosen"])
    assert explain_run(agent, run, ["gradient"], ["logit:greedy"])[0].frames == 3


def test_attention_is_drawn_where_the_network_has_any(run, tmp_path):
    agent = load_agent(run)
    with pytest.raises(ValueError, match=r"minatar has no attention of its own \(they are daqn"):
        explain_run(agent, run, ["attention_map"], ["value"])
    preset = Preset("Mine", height=84, width=84, grey=True, stack=4)
    net = networks.make("sparse-fls", 3)
    obs = np.random.default_rng(0).integers(0, 256, (4, 84, 84, 4), dtype=np.uint8)
    fields = described(net.apply, net.init(jax.random.key(0), obs[0]), preset, "attending")
    attending = agent._replace(**{**fields, "network": "sparse-fls"}, checkpoint="c")
    np.savez(tmp_path / "g.npz", frames=obs[..., 3])
    with pytest.warns(match="no game 'Mine' can be played here"):
        import_recording(tmp_path / "g.npz", tmp_path / "b", preset)
    (done,) = explain_run(attending, tmp_path / "b", ["attention_map"], ["value", "logit:0"])
    assert (done.score, done.frames) == ("attention", 4) and methods_of(attending)[-1] == "attention_map"
    stacks = Episodes(tmp_path / "b" / "episodes.zarr").observations[:]
    want = jax.vmap(attention_map(net.apply, **networks.ATTENTION["sparse-fls"]), (None, 0))(fields["params"], stacks)
    np.testing.assert_allclose(open_maps(done.path)[:], want, rtol=2e-3)


def test_an_agent_without_names_for_its_layers(run):
    agent = load_agent(run)

    def f(params, obs):
        return Output(logits=obs.reshape(-1)[:3] * params)

    bare = agent._replace(**described(f, jnp.ones(()), agent.preset, "bare"))
    with pytest.raises(ValueError, match=r"has no tags: name one in its function, h = .*tag\(h, 'conv1'\)"):
        explain_run(bare, run, ["grad_cam"], ["logit:0"], any_checkpoint=True)


def test_what_is_there_is_not_made_again_in_one_pass(run):
    agent = load_agent(run)
    (first,) = explain_run(agent, run, ["gradient"], ["value"])
    written = {path: path.stat().st_mtime_ns for path in first.path.rglob("c*") if path.is_file()}
    done = explain_run(agent, run, ["deconvnet", "gradient", "input_x_gradient"], ["value"], together=True)
    assert [d.method for d in done] == ["deconvnet", "gradient", "input_x_gradient"]
    assert [d.skipped for d in done] == [0, first.frames, 0]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    next((first.path / "map").glob("c*")).unlink()
    with pytest.raises(DamagedStore, match=r"lacks 1 of its files \(map/c.*--verify"):
        explain_run(agent, run, ["gradient"], ["value"])
    verify_run(run, mend=True)
    (again,) = explain_run(agent, run, ["gradient"], ["value"])
    assert again.skipped < again.frames


def test_an_estimate_knows_parts_and_refuses_what_the_job_would(run):
    agent, steps = load_agent(run), {"integrated_gradients": {"steps": 3}}
    count = len(Episodes(run / "episodes.zarr"))
    (part,) = estimate_run(agent, run, ["gradient"], ["value"], part=(0, 4))
    assert part.frames == -(-count // 4)
    explain_run(agent, run, ["integrated_gradients"], ["value"], options=steps)
    with pytest.raises(ValueError, match="holds other maps: attributes"):
        estimate_run(agent, run, ["integrated_gradients"], ["value"])


def test_maps_of_another_number_of_frames_are_told(run):
    agent = load_agent(run)
    explain_run(agent, run, ["gradient"], ["value"])
    other = create_maps(run / "maps/other-value.zarr", frames=7, shape=(4, 4), attributes={})
    other[:] = np.ones((7, 4, 4))
    faults = {report.path.name: [str(fault) for fault in report.faults] for report in verify_run(run)}
    assert faults["gradient-value.zarr"] == [] and "maps of 7 frames, but the recording has" in faults["other-value.zarr"][0]


def test_channels_that_stand_first_are_seen_in_a_stack(run):
    agent = load_agent(run)
    shutil.rmtree(run / "episodes.zarr")
    height, width, channels = agent.obs_shape
    with create_episodes(run / "episodes.zarr", frame_shape=(channels, height, width), stack=1, padding="repeat",
                         attributes={}, columns={}) as writer:  # fmt: skip
        writer.append(frames=np.zeros((5, channels, height, width), np.uint8), stack_start=np.arange(5) == 0)
    with pytest.raises(ValueError, match=r"channels stand first: frames are \[N H W C\]"):
        explain_run(agent, run, ["gradient"], ["value"])
    stacked = agent._replace(obs_shape=(84, 84, 4), preset=make_preset("dqn", "Pong-v5"))
    shutil.rmtree(run / "episodes.zarr")
    with create_episodes(run / "episodes.zarr", frame_shape=(1, 84, 84), stack=4, padding="repeat", attributes={},
                         columns={}) as writer:  # fmt: skip
        writer.append(frames=np.zeros((5, 1, 84, 84), np.uint8), stack_start=np.arange(5) == 0)
    with pytest.raises(ValueError, match=r"channels stand first: frames are \[N H W C\]"):
        explain_run(stacked, run, ["gradient"], ["value"])


def test_a_pass_that_was_killed_at_its_end_goes_on_with_the_same_program(run, monkeypatch):
    """Where the last shard of one method is done and that of the other is not."""
    from rljax_viz.runs import explain as job

    agent, asked = load_agent(run), []
    explain_run(agent, run, ["gradient", "deconvnet"], ["value"], together=True)
    before = {path: path.read_bytes() for path in (run / "maps").rglob("c*") if path.is_file()}
    maps = open_maps(run / "maps/deconvnet-value.zarr")
    maps.discard(len(maps.shards()) - 1)
    whole = job.explain_many
    monkeypatch.setattr(job, "explain_many", lambda programs: asked.append(sorted(programs)) or whole(programs))
    explain_run(agent, run, ["gradient", "deconvnet"], ["value"], together=True)
    assert asked == [["deconvnet-value", "gradient-value"]]
    assert {path: path.read_bytes() for path in before} == before
