"""A small trial in Atari-HEAD's format, made here, against the paper's definitions done by hand."""

import io
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from rljax_viz.images import area_resize
from rljax_viz.measure.atari_head import (
    Trial,
    fixation_map,
    frames_of_step,
    read_games,
    read_gaze,
    read_lengths,
    steps_of,
    trials_in,
)

N = 30
NAME = "52_RZ_2394668_Aug-10-14-52-42"
HEADER = "frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions\n"


def frames(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (N, 210, 160, 3), dtype=np.uint8)


def write_trial(folder, pictures, name=NAME, drop=(), gaze=None):
    """NAME.tar.bz2 of PNGs, in no order, and NAME.txt with rows of any length."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{name}.tar.bz2", "w:bz2") as archive:
        for number in np.random.default_rng(1).permutation(np.arange(1, len(pictures) + 1)):
            if number in drop:
                continue
            file = io.BytesIO()
            Image.fromarray(pictures[number - 1]).save(file, "png")
            info = tarfile.TarInfo(f"{name}/RZ_2394668_{number}.png")
            info.size = file.getbuffer().nbytes
            file.seek(0)
            archive.addfile(info, file)
    lines = [HEADER]
    for number in range(1, len(pictures) + 1):
        positions = (gaze or {}).get(number, [])
        looks = ",".join(f"{x},{y}" for x, y in positions) or "null"
        episode = "null" if number < 3 else 0
        lines.append(f"RZ_2394668_{number},{episode},{number * 10},50,{number % 3},{number % 4},{looks}\n")
    (folder / f"{name}.txt").write_text("".join(lines))
    return folder / f"{name}.tar.bz2"


GAZE = {1: [(10.0, 20.0)], 5: [(80.5, 105.5), (80.5, 105.5), (159.6, 3.0)], 6: [(0.4, 209.4)], 9: [(-3.0, 5.0), (12.0, 13.0)]}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return Trial(write_trial(tmp_path_factory.mktemp("head"), frames(), gaze=GAZE))


def test_gaze_is_read_with_its_holes(trial):
    rows = trial.gaze
    assert trial.number == 52 and sorted(rows) == list(range(1, N + 1))
    assert rows[1].episode is None and rows[3].episode == 0
    assert (rows[5].score, rows[5].milliseconds, rows[5].reward, rows[5].action) == (50.0, 50.0, 2.0, 1)
    np.testing.assert_array_equal(rows[5].gaze, GAZE[5])
    assert rows[2].gaze.shape == (0, 2)


@pytest.mark.parametrize("size", [(210, 160), (84, 84)])
def test_fixations_round_as_python_does_and_stay_inside(size):
    gaze = [(80.5, 105.5), (81.5, 106.5), (159.6, 3.0), (-3.0, 5.0), (-0.4, 0.0), (12.0, 209.6)]
    want = np.zeros(size, int)
    for x, y in gaze:
        row, column = (round(y), round(x)) if size == (210, 160) else (round(y / 210 * size[0]), round(x / 160 * size[1]))
        if 0 <= row < size[0] and 0 <= column < size[1]:
            want[row, column] += 1
    got = fixation_map(np.array(gaze), size)
    np.testing.assert_array_equal(got, want)
    if size == (210, 160):
        assert got[106, 80] == 1 and got[106, 82] == 1 and got.sum() == 3  # halves to even; three lie outside


def test_halves_go_to_the_even_pixel():
    for y, row in ((4.5, 4), (5.5, 6), (18.5, 18), (37.5, 38), (74.5, 74), (146.5, 146), (149.5, 150), (208.5, 208)):
        assert fixation_map(np.array([[10.0, y]])).nonzero()[0].tolist() == [row]
    whole = [int(fixation_map(np.array([[10.0, y + 0.5]])).nonzero()[0][0]) for y in range(209)]
    assert whole == [y + y % 2 for y in range(209)]
    across = [int(fixation_map(np.array([[x + 0.5, 10.0]])).nonzero()[1][0]) for x in range(159)]
    assert across == [x + x % 2 for x in range(159)]


def test_eight_frames_of_the_game_are_one_step():
    assert frames_of_step(20) == [20, 19, 16, 15, 12, 11, 8, 7]
    assert frames_of_step(4) == [4, 3, 0] and frames_of_step(0) == [0]
    assert list(steps_of(9)) == [0, 4] and list(steps_of(10)) == [0, 4, 8] and list(steps_of(N)) == list(range(0, 29, 4))


def test_the_agent_sees_the_maximum_of_two_frames_in_grey_and_small(trial):
    pictures, (stack,) = frames(), trial.observations([8])
    assert stack.shape == (84, 84, 4) and not stack[..., 0].any()  # the game begins at frame 0
    for channel, when in ((1, 0), (2, 4), (3, 8)):
        pair = pictures[max(when - 1, 0) : when + 1].max(0).astype(np.float64)
        grey = np.rint(pair @ [0.299, 0.587, 0.114])
        small = np.zeros((84, 84))
        for row in range(84):  # 210 / 84 is 2.5: pixels and a half
            a = 2.5 * row
            weights = np.clip(np.minimum(a + 2.5, np.arange(210) + 1) - np.maximum(a, np.arange(210)), 0, 1)
            line = weights @ grey / 2.5
            for column in range(84):
                b, step = column * 160 / 84, 160 / 84
                across = np.clip(np.minimum(b + step, np.arange(160) + 1) - np.maximum(b, np.arange(160)), 0, 1)
                small[row, column] = across @ line / step
        off = np.abs(stack[..., channel].astype(float) - small)
        assert off.max() < 0.8 and off.mean() < 0.27  # rounded twice; a grey of exactly a half may round either way


def test_people_look_at_all_frames_of_a_step(trial):
    (both,) = trial.fixations([8])  # frames 8, 7, 4, 3, 0 from 0: numbers 9, 8, 5, 4, 1
    want = sum(fixation_map(np.array(GAZE[number])) for number in (9, 5, 1))
    np.testing.assert_array_equal(both, want)
    assert both.sum() == 1 + 2 + 1  # one lies outside on the left, one on the right


def test_area_resize_is_the_mean_of_blocks():
    image = np.random.default_rng(2).random((12, 9, 2)).astype(np.float32)
    want = image.reshape(4, 3, 3, 3, 2).mean((1, 3))
    np.testing.assert_allclose(area_resize(image, (4, 3)), want, rtol=1e-5)
    np.testing.assert_allclose(area_resize(image[..., 0], (5, 4)).mean(), image[..., 0].mean(), rtol=1e-5)
    with pytest.raises(ValueError, match="to a smaller"):
        area_resize(image, (13, 3))


def test_games_by_trial(tmp_path):
    table = "TrialNumber,NumberOfFrames,Game\n52,30,breakout\n53,10,ms_pacman\n,5,\n60,3,Mspacman\n61,9,space_invaders\n"
    (tmp_path / "meta_data.csv").write_text(table)
    games = read_games(tmp_path / "meta_data.csv")
    assert read_lengths(tmp_path / "meta_data.csv") == {52: 30, 53: 10, 60: 3, 61: 9}
    assert games == {52: "Breakout-v5", 53: "MsPacman-v5", 60: "MsPacman-v5", 61: "SpaceInvaders-v5"}


def test_games_by_trial_of_version_4_and_in_capitals(tmp_path):
    columns = "GameName,trial_id,subject_id,load_trial,highest_score,total_frame,total_game_play_time,total_episode\n"
    rows = "alien,4,RZ,0,2540,6001,900000,2\nms_pacman_highscore,630,R,0,41000,90000,7200000,1\n"
    rows += "montezuma_revenge,5,KM,0,1,7,8,9\n"
    (tmp_path / "meta_data.csv").write_text(columns + rows)
    games = read_games(tmp_path / "meta_data.csv")
    assert games == {4: "Alien-v5", 630: "MsPacman-v5", 5: "MontezumaRevenge-v5"}
    assert read_lengths(tmp_path / "meta_data.csv") == {4: 6001, 630: 90000, 5: 7}
    text = "TrialNumber,Game\n1,BREAKOUT_highscore\n2,MONTEZUMA_REVENGE\n3,MSPACMAN\n4,SpaceInvaders\n"
    (tmp_path / "meta_data.csv").write_text(text)
    wanted = ["Breakout-v5", "MontezumaRevenge-v5", "MsPacman-v5", "SpaceInvaders-v5"]
    assert list(read_games(tmp_path / "meta_data.csv").values()) == wanted
    (tmp_path / "meta_data.csv").write_text("game,number\nalien,4\n")
    with pytest.raises(ValueError, match="expected TrialNumber and Game, or trial_id and GameName"):
        read_games(tmp_path / "meta_data.csv")


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no <trial>_\*.tar.bz2"):
        trials_in(tmp_path)
    archive = write_trial(tmp_path / "a", frames()[:6], drop=(4,))
    with pytest.raises(ValueError, match=r"holds 5 frames, but none is number 4 \(1 in all\)"):
        _ = Trial(archive).frames
    archive = write_trial(tmp_path / "b", frames()[:3, :100])
    with pytest.raises(ValueError, match=r"frame \d is 100x160, expected 210x160"):
        _ = Trial(archive).frames
    (tmp_path / "b" / f"{NAME}.txt").write_text(HEADER + "RZ_1,0,0,50,0,0,3.5\n")
    with pytest.raises(ValueError, match="line 2: an x without its y"):
        read_gaze(tmp_path / "b" / f"{NAME}.txt")
    (tmp_path / "b" / f"{NAME}.txt").unlink()
    (lacking,) = trials_in(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match=r".txt is missing: a trial is NAME.tar.bz2 and NAME.txt, side by side"):
        _ = lacking.gaze
    with pytest.raises(FileNotFoundError, match=r"7_A.tar.bz2 is missing"):
        _ = Trial(tmp_path / "7_A.tar.bz2").frames


def put(archive, name, data):
    """`archive` again, with one more member."""
    with tarfile.open(archive, "r:bz2") as old:
        members = [(member, old.extractfile(member).read()) for member in old]
    with tarfile.open(archive, "w:bz2") as new:
        for member, content in [*members, (tarfile.TarInfo(name), data)]:
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


def test_damaged_archives_are_named(tmp_path):
    archive = write_trial(tmp_path / "a", frames()[:6])
    whole = archive.read_bytes()
    for broken in (whole[: len(whole) // 2], b"hello world, not an archive", b""):
        archive.write_bytes(broken)
        with pytest.raises(ValueError, match=rf"{NAME}.tar.bz2 cannot be read to its end .*download it again"):
            _ = Trial(archive).frames
    archive.write_bytes(whole)
    put(archive, f"{NAME}/thumb.png", b"")
    with pytest.warns(UserWarning, match=rf"left out {NAME}/thumb.png, which is no <name>_<number>.png"):
        assert len(Trial(archive).frames) == 6
    archive.write_bytes(whole)
    put(archive, f"{NAME}/RZ_2394668_7.png", b"no picture")
    with pytest.raises(ValueError, match=r"frame 7 is no whole picture .*download it again"):
        _ = Trial(archive).frames
    png = io.BytesIO()
    Image.fromarray(frames()[6]).save(png, "png")
    for broken in (png.getvalue()[:5000], png.getvalue()[:5000] + b"no" + png.getvalue()[5002:]):
        archive.write_bytes(whole)
        put(archive, f"{NAME}/RZ_2394668_7.png", broken)
        with pytest.raises(ValueError, match=r"frame 7 is no whole picture"):  # though nobody has looked at it yet
            _ = Trial(archive).frames


def test_what_macos_puts_beside_the_frames_is_no_frame(tmp_path):
    archive = write_trial(tmp_path, frames()[:3])
    put(archive, f"{NAME}/._RZ_2394668_1.png", b"no picture")
    archive.with_name(f"._{archive.name}").write_bytes(b"no archive")
    (trial,) = trials_in(tmp_path)
    np.testing.assert_array_equal(trial.frames[:], frames()[:3])


def test_archives_that_are_no_trials_are_left_out(tmp_path):
    write_trial(tmp_path, frames()[:2])
    write_trial(tmp_path, frames()[:2], name="9_KM_1")
    (tmp_path / "backup.tar.bz2").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"left out .*backup.tar.bz2: a trial is <number>_<rest>.tar.bz2"):
        assert [trial.number for trial in trials_in(tmp_path)] == [9, 52]
    with pytest.raises(ValueError, match="is not named for a trial"):
        Trial(tmp_path / "backup.tar.bz2")


def test_columns_of_gaze_are_found_by_name(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("frame_id,episode_id,score,gaze_positions\nRZ_1,0,3,60.5,70.5,61.0,71.0\nRZ_2,null,3,null\n")
    rows = read_gaze(path)
    assert rows[1].gaze.tolist() == [[60.5, 70.5], [61.0, 71.0]] and rows[1].action is None and rows[1].score == 3
    assert len(rows[2].gaze) == 0
    for text, match in (
        ("", "is empty, expected the line frame_id,episode_id"),
        ("RZ_1,0,0,50,0,0,3.5,4.5\n", "begins with 'rz_1,0,0,50,0,0,3.5,4.5', expected the line frame_id"),
        (HEADER + "RZ_1,0,0,50,60.5,70.25,61,71\n", "line 2: action is 70.25, not a whole number of 0 to 17"),
        (HEADER + "RZ_1,0,0,50,null,1,3.5,null,4.5\n", "line 2: an x without its y"),
        (HEADER + "RZ_1,0,nan,50,0,inf,null\n", "line 2: action is inf, not a whole number of 0 to 17"),
        (HEADER + "RZ_1,0,0,50,null\n", "line 2: 5 cells, where 7 columns are named"),
        (HEADER + "RZ_1,zero,0,50,0,0,null\n", "line 2: could not convert string to float"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            read_gaze(path)


def test_pairs_of_gaze_that_are_not_whole_are_left_out(tmp_path):
    path, start = tmp_path / "a.txt", ",0,0,50,0,0"
    looks = ("10.0,null,null,20.0", "nan,3.0,4.0,5.0", "", "null", "null,null", "1.0,2.0,null,null,inf,4.0,")
    path.write_text(HEADER + "".join(f"RZ_{n}{start},{cells}\n" for n, cells in enumerate(looks, 1)) + f"RZ_7{start}\n")
    rows = read_gaze(path)
    assert [rows[n].gaze.tolist() for n in range(1, 8)] == [[], [[4.0, 5.0]], [], [], [], [[1.0, 2.0]], []]


def test_frames_that_are_unpacked_are_told(tmp_path):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "RZ_2394668_1.png").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"its frames are unpacked; put the .tar.bz2 there as it was downloaded"):
        trials_in(tmp_path)


def test_trials_that_end_early_are_told(tmp_path):
    archive = write_trial(tmp_path, frames()[:20])
    assert Trial(archive).gaps() is None and Trial(archive).gaps(20) is None
    assert "frames 21 to 25 (5) lack pictures and rows of gaze" in Trial(archive).gaps(25)
    text = archive.with_name(f"{NAME}.txt").read_text().splitlines()
    archive.with_name(f"{NAME}.txt").write_text("\n".join(text[:13]) + "\n")  # the header and twelve rows
    told = Trial(archive).gaps(20)
    assert "20 pictures and rows of gaze up to frame 12, 20 by its table: frames 13 to 20 (8) lack rows of gaze" in told


def test_frames_are_decoded_where_they_are_looked_at(tmp_path):
    pictures = np.repeat(frames()[:1] // 255, 60, axis=0)
    trial = Trial(write_trial(tmp_path, pictures))
    size = pictures.nbytes
    trial.observations([0])  # compiles
    trial.forget()
    tracemalloc.start()
    assert len(trial.steps) == 15
    trial.observations(trial.steps[:3])
    assert tracemalloc.get_traced_memory()[1] < 0.2 * size
    trial.forget()
    tracemalloc.stop()
    np.testing.assert_array_equal(trial.frames[[0, 8, 4]], pictures[[0, 8, 4]])
    np.testing.assert_array_equal(trial.frames[-3:], pictures[-3:])
    assert trial.frames.shape == pictures.shape and np.asarray(trial.frames, float).dtype == float
    np.testing.assert_array_equal(trial.frames, pictures)
    assert trial.frames[3].shape == (210, 160, 3) and trial.frames[5:5].shape == (0, 210, 160, 3)
    with pytest.raises(IndexError):
        trial.frames[60]


def test_games_begin_where_the_episode_changes(trial, tmp_path):
    steps = list(trial.steps)
    assert trial.begins(steps).tolist() == [True] + [False] * (len(steps) - 1)  # its first rows say null, then 0
    text = trial.gaze_path.read_text().splitlines()
    second = [line.replace(",0,", ",1,", 1) if i > 14 else line for i, line in enumerate(text)]
    (tmp_path / trial.archive.name).symlink_to(trial.archive)
    (tmp_path / trial.gaze_path.name).write_text("\n".join(second) + "\n")
    begins = Trial(tmp_path / trial.archive.name).begins(steps)
    assert np.flatnonzero(begins).tolist() == [0, 4]  # frames 13 and 17 are steps 3 and 4
