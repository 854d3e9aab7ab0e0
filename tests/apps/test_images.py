"""``aedetect images``: what is written, what is painted, and what is refused."""

import os
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from aedetect.apps.cli import main
from aedetect.apps.images import overlaid

HOSTILE = "<img src=x onerror=alert(1)>.png"


def save(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * pixels).clip(0, 255).astype(np.uint8)).save(folder / name)


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image) / 255


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Stripes in colour; in three of the new ones there is a grey spot."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("images")
    wave = np.sin(np.arange(40)[:, None, None] + rng.uniform(0, 6, (36, 1, 1, 3)))
    images = 0.5 + 0.3 * wave + rng.normal(0, 0.05, (36, 40, 40, 3))
    for i, pixels in enumerate(images[:24]):
        save(root / "train", f"{i}.png", pixels)
    for i, pixels in enumerate(images[24:33]):
        save(root / "test" / "good", f"{i}.png", pixels)
    images[33:, 20:30, 8:18] = 0.5
    for name, pixels in zip(["=a.png", "b.png", HOSTILE], images[33:], strict=True):
        save(root / "test" / "spot", name, pixels)
    (root / "test" / "notes.txt").write_text("three have a spot")
    return root


def run(*arguments):
    return CliRunner().invoke(main, ["images", *map(str, arguments)])


@pytest.fixture(scope="module")
def found(folders):
    result = run(folders / "train", folders / "test", "--output", folders / "out")
    assert result.exit_code == 0, result.output
    return folders / "out", result.stderr


def test_strange_images_are_flagged_and_listed_first(found):
    folder, told = found
    table = pd.read_csv(folder / "scores.csv")
    spots = table["image"].str.contains("spot/")
    assert (table["label"][spots] == -1).all()
    assert table["score"][spots].max() < table["score"][~spots].min()
    assert table["p_value"][spots].max() == pytest.approx(
        1 / 21
    )  # of 24, 4 are left of five equal folds
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.index("spot/b.png") < page.index("good/0.png")
    assert re.search(r"\d of 12 images flagged, by 24 normal ones of 40 x 40 pixels", told)
    assert "'notes.txt (no image)'" in told


def test_paint_is_on_the_spot_and_hardly_elsewhere(found):
    folder, _ = found
    table = pd.read_csv(folder / "scores.csv").set_index("image")
    for name, row in table.iterrows():
        both = pixels_of(folder / row["overlay"])
        assert both.shape == (160, 320, 3)
        changed = np.abs(both[::4, :160:4] - both[::4, 160::4]).max(axis=-1) > 0.1
        if "spot/" in name:
            assert changed[22:28, 10:16].mean() > 0.9
            assert changed[:, 28:].mean() < 0.25
        else:
            assert changed.mean() < 0.05


def test_names_of_files_are_shown_and_not_obeyed(found):
    page = (found[0] / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(re.fullmatch(r"scores\.csv|overlays/\d+\.png", link) for link in links)
    assert len(links) == 13


def test_grey_paint_begins_and_ends_where_the_limits_are():
    pixels, errors = np.full((1, 4), 0.5), np.array([[0.0, 1.0, 2.0, 9.0]])
    (painted,) = overlaid(pixels, errors, (1.0, 3.0))
    np.testing.assert_allclose(painted[:2], 0.5)
    np.testing.assert_allclose(painted[2], 0.65 * 0.5 + 0.35 * np.array([0.9, 0.1, 0.1]))
    np.testing.assert_allclose(painted[3], 0.3 * 0.5 + 0.7 * np.array([0.9, 0.1, 0.1]))


def test_images_of_two_sizes_are_refused_and_resized_on_demand(folders, tmp_path):
    for i in range(3):
        save(tmp_path / "train", f"{i}.png", np.eye(20 + 4 * i))
    arguments = [tmp_path / "train", folders / "test", "--output", tmp_path / "out"]
    result = run(*arguments)
    assert result.exit_code == 2
    assert "'0.png' is of 20 x 20 pixels, '1.png' of 24 x 24" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run(*arguments, "--shape", 16, 20).exit_code == 0
    assert pixels_of(tmp_path / "out" / "overlays" / "00001.png").shape == (128, 320, 3)


def test_only_what_is_small_in_both_directions_is_drawn_larger(tmp_path, rng):
    for i in range(3):
        save(tmp_path / "train", f"{i}.png", rng.random((3, 170)))
    assert run(*[tmp_path / "train"] * 2, "--output", tmp_path / "out").exit_code == 0
    assert pixels_of(tmp_path / "out" / "overlays" / "00001.png").shape == (3, 340, 3)


def test_greys_of_12_bits_are_drawn_as_bright_as_others(tmp_path, rng):
    (tmp_path / "train").mkdir()
    for i in range(3):
        deep = rng.integers(0, 2**12, (12, 12), dtype=np.uint16)
        Image.fromarray(deep).save(tmp_path / "train" / f"{i}.png")
    assert run(*[tmp_path / "train"] * 2, "--output", tmp_path / "out").exit_code == 0
    plain = pixels_of(tmp_path / "out" / "overlays" / "00003.png")[:, :168]
    np.testing.assert_allclose(plain[::14, ::14, 0], deep / 4095, atol=0.03)


def test_blank_images_are_flagged_first_unless_normal_ones_are_blank(tmp_path, rng):
    train, test = tmp_path / "train", tmp_path / "test"
    for i in range(20):
        save(train, f"{i}.png", rng.random((6, 6, 3)))
    for name, colour in [("black", [0, 0, 0]), ("blue", [0, 0, 1.0]), ("white", [1, 1, 1.0])]:
        save(test, f"{name}.png", np.full((6, 6, 3), colour))
    save(test, "good.png", pixels_of(train / "0.png"))
    result = run(train, test, "--output", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "scores.csv").set_index("image")
    assert table["label"].to_dict() == {n: 2 * (n == "good.png") - 1 for n in table.index}
    assert table["p_value"].drop("good.png").to_list() == pytest.approx([1 / 21] * 3)
    assert "blank, as no normal image is: 'black.png', 'blue.png', 'white.png'" in result.stderr

    save(train, "black.png", np.zeros((6, 6, 3)))
    result = run(train, test, "--output", tmp_path / "again")
    assert (result.exit_code, "because blank" in result.stderr) == (0, False)
    assert np.isfinite(pd.read_csv(tmp_path / "again" / "scores.csv")["score"]).all()


def test_images_unlike_the_training_images_are_refused(folders, tmp_path):
    for i in range(2):
        save(tmp_path / "train", f"{i}.png", np.eye(20) + i * np.eye(20, k=1))
    result = run(tmp_path / "train", folders / "test", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "test has images of 40 x 40 pixels, " in result.stderr
    assert "train of 20 x 20; give one --shape for both" in result.stderr


def test_few_images_have_no_p_values(folders, tmp_path):
    for i in range(3):
        save(tmp_path / "train", f"{i}.png", np.eye(40) + i * np.eye(40, k=1))
    result = run(tmp_path / "train", folders / "test", "--output", tmp_path / "out")
    assert "Of fewer than 20 normal images there are no p-values" in result.stderr
    assert "p_value" not in pd.read_csv(tmp_path / "out" / "scores.csv")


def test_folders_that_would_be_read_or_overwritten_are_refused(
    folders, found, tmp_path, monkeypatch
):
    train, test = folders / "train", folders / "test"
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for output, message in [
        (found[0], "exists, and is no empty folder"),
        (tmp_path / "dangling", "exists, and is no empty folder"),
        (train / "0.png", "exists, and is no empty folder"),
        (test / "out", "would be read as part of"),
    ]:
        result = run(train, test, "--output", output)
        assert (result.exit_code, message in result.stderr) == (2, True)
    (tmp_path / "file").write_text("in the way")
    result = run(train, test, "--output", tmp_path / "file" / "out")
    assert (result.exit_code, "file is no folder" in result.stderr) == (2, True)
    result = run(tmp_path / "nowhere", test, "--output", tmp_path / "out")
    assert (result.exit_code, "nowhere: No such file" in result.stderr) == (2, True)
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
    result = run(train, test, "--output", tmp_path / "out")
    assert "may not be written to" in result.stderr
