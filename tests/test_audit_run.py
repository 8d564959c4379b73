"""The run of an audit: blocks, interrupting, going on; what is left out, what may not be mixed."""

import json

import numpy as np
import pytest

import attar
from attar.auditing import AuditInterrupted
from attar.auditing.measure import Block
from attar.auditing.page import page
from attar.auditing.shift import Shift
from attar.auditing.space import Space
from attar.errors import ArgumentError, DTypeError, ImageError, ModelError
from tests.audits import images, model, numbers, quick


def stop_after(passes):
    """Progress that presses Ctrl-C once so many passes are done."""

    def tell(done, _total):
        if done >= passes:
            raise KeyboardInterrupt

    return tell


class TestBlocks:
    def test_the_numbers_are_those_of_the_measures_on_all_images(self):
        opened, given = attar.open_model(model()), images()
        report = attar.audit(opened, given, measures=quick())
        block = Block(given.astype(np.float32) / np.float32(255), None, 0)
        for measure in quick()[:2]:
            alone = measure.combine(opened, [measure.work(opened, block)]).as_dict()
            found = report.sections[measure.name].as_dict()
            assert found.keys() == alone.keys()
            _assert_close(found, alone)

    def test_labels_go_with_their_images(self):
        opened, given = attar.open_model(model()), images(40)
        right = opened.predict(given).argmax(axis=1)
        wrong = (right + 1) % 3
        half = np.where(np.arange(40) % 2, right, wrong)
        measures = [Shift(modes=("circular",), reach=1)]
        for labels, accuracy in ((right, 1.0), (wrong, 0.0), (half, 0.5)):
            report = attar.audit(opened, given, labels=labels, measures=measures)
            assert report.numbers["accuracy"] == accuracy

    def test_a_path_is_opened(self, tmp_path):
        model().save(tmp_path / "small.safetensors")
        report = attar.audit(tmp_path / "small.safetensors", images(2), measures=["cost"])
        assert (report.model.name, report.model.framework) == ("small", "attar")

    def test_progress_counts_every_pass_once(self):
        told = []
        attar.audit(model(), images(), measures=quick(), progress=lambda *now: told.append(now))
        total = 70 * (9 + 1 + 0)
        assert told[0] == (0, total)
        assert told[-1] == (total, total)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    def test_without_images_shapes_are_drawn_and_the_report_says_so(self):
        report = attar.audit(model(), max_images=5, measures=["space"])
        assert (report.images.kind, report.images.seen) == ("shapes", 5)
        assert "5 drawn shapes" in page(report, "en")

    def test_the_images_that_a_section_speaks_of_are_named_and_shown(self, tmp_path):
        for i, image in enumerate(images(12, 3)):
            attar.write_image(tmp_path / f"{i:02}.png", image)
        report = attar.audit(model(channels=3), tmp_path, measures=quick())
        shown = {one.index for mode in report.shift.modes for one in mode.fragile}
        assert shown
        assert report.images.names == {i: f"{i:02}.png" for i in shown}
        assert report.thumbnails.keys() == shown


class TestPicturesThatCannotBeRead:
    def test_they_are_named_and_the_others_are_as_without_them(self, tmp_path):
        good, some = tmp_path / "good", tmp_path / "some"
        good.mkdir(), some.mkdir()
        for i, image in enumerate(images(40, 3)):
            attar.write_image(good / f"{i:02}.png", image)
            attar.write_image(some / f"{i:02}.png", image)
        (some / "05x.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        (some / "33x.jpg").write_bytes(b"")
        want = attar.audit(model(channels=3), good, measures=quick())
        found = attar.audit(model(channels=3), some, measures=quick())
        assert (found.images.seen, found.images.chosen) == (40, 42)
        assert sorted(found.images.failed) == ["05x.png", "33x.jpg"]
        assert "the file is empty" in found.images.failed["33x.jpg"]
        assert found.shift == want.shift  # the same index, and so the same chance, of each image
        assert found.images.names == want.images.names

    def test_none_is_left(self, tmp_path):
        with pytest.raises(
            ImageError, match="none of 3 images can be read; the first: its numbers"
        ):
            attar.audit(model(), np.full((3, 16, 16), 7.0), measures=quick())


class TestInterrupted:
    def test_the_report_is_of_what_was_seen(self):
        whole = attar.audit(model(), images()[:32], measures=quick())
        with pytest.raises(AuditInterrupted, match="interrupted after 32 images") as stop:
            attar.audit(model(), images(), measures=quick(), progress=stop_after(321))
        report = stop.value.report
        assert (report.complete, report.images.seen, report.images.chosen) == (False, 32, 70)
        assert report.space == whole.space
        assert "interrupted" in str(report).splitlines()[0]

    def test_before_anything_was_found(self):
        with pytest.raises(KeyboardInterrupt) as stop:
            attar.audit(model(), images(), measures=quick(), progress=stop_after(0))
        assert stop.value.report is None

    @pytest.mark.parametrize("passes", [0, 100, 290, 321, 500, 660])
    def test_going_on_gives_what_was_never_interrupted(self, tmp_path, passes):
        want = numbers(attar.audit(model(), images(), measures=quick()))
        with pytest.raises(AuditInterrupted):
            attar.audit(
                model(), images(), measures=quick(), resume=tmp_path, progress=stop_after(passes)
            )
        told = []
        report = attar.audit(
            model(),
            images(),
            measures=quick(),
            resume=tmp_path,
            progress=lambda done, total: told.append((done, total)),
        )
        assert numbers(report) == want
        assert told[-1] == (700, 700)

    def test_what_was_done_is_not_done_again(self, tmp_path, monkeypatch):
        with pytest.raises(AuditInterrupted):
            attar.audit(
                model(), images(), measures=quick(), resume=tmp_path, progress=stop_after(321)
            )
        firsts = []
        work = Space.work
        monkeypatch.setattr(
            Space,
            "work",
            lambda self, model, block: firsts.append(block.first) or work(self, model, block),
        )
        attar.audit(model(), images(), measures=quick(), resume=tmp_path)
        assert firsts == [32, 64]


class TestMixing:
    """A folder takes what was found of one model, on the same images, with the same settings."""

    @pytest.fixture
    def kept(self, tmp_path):
        self.folder = tmp_path / "kept"
        attar.audit(model(), images(), measures=quick(), resume=self.folder)

    def refused(self, message, one=None, given=None, **others):
        arguments = {"measures": quick(), "resume": self.folder} | others
        with pytest.raises(ArgumentError, match="another audit, which differs in " + message):
            attar.audit(one or model(), images() if given is None else given, **arguments)

    @pytest.mark.usefixtures("kept")
    def test_the_same_is_taken(self):
        attar.audit(model("another name"), images(), measures=quick(), resume=self.folder)

    @pytest.mark.usefixtures("kept")
    def test_other_weights(self):
        other = model()
        weights = other.get_layer("classes").get_weights()
        weights[1][0] += 1e-3
        other.get_layer("classes").set_weights(weights)
        self.refused("model ", other)

    @pytest.mark.usefixtures("kept")
    def test_another_preparation(self):
        self.refused("input ", attar.open_model(model(), scale=255))

    @pytest.mark.usefixtures("kept")
    def test_other_images(self):
        other = images()
        other[-1, 3, 3] ^= 1
        self.refused("images ", given=other)

    @pytest.mark.usefixtures("kept")
    def test_other_labels(self):
        self.refused("labels ", labels=[0] * 70)

    @pytest.mark.usefixtures("kept")
    def test_other_settings(self):
        measures = [*quick()[:1], Space(nearly_dead_below=0.01), "cost"]
        self.refused(r"space\.nearly_dead_below \(there 0\.001, now 0\.01\)\.", measures=measures)

    @pytest.mark.usefixtures("kept")
    def test_another_seed(self):
        self.refused(r"seed \(there 0, now 1\)", seed=1)

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "diary.txt").write_text("dear")
        with pytest.raises(ArgumentError, match="is not the folder of an audit"):
            attar.audit(model(), images(2), measures=["cost"], resume=tmp_path)
        (tmp_path / "audit.json").write_text("{")
        with pytest.raises(ArgumentError, match=r"cannot read .*audit\.json"):
            attar.audit(model(), images(2), measures=["cost"], resume=tmp_path)
        (tmp_path / "audit.json").write_text(json.dumps([1]))
        with pytest.raises(ArgumentError, match="differs in schema"):
            attar.audit(model(), images(2), measures=["cost"], resume=tmp_path)

    @pytest.mark.usefixtures("kept")
    def test_a_part_that_is_damaged_is_named(self):
        part = self.folder / "space-000001.npz"
        part.write_bytes(part.read_bytes()[:100])
        with pytest.raises(attar.AttarError, match=r"space-000001\.npz is damaged .* remove it"):
            attar.audit(model(), images(), measures=quick(), resume=self.folder)
        part.unlink()
        attar.audit(model(), images(), measures=quick(), resume=self.folder)


class TestIdentity:
    """What tells models from each other, in every framework."""

    def changed(self, make, change):
        from attar.auditing.identity import identity_of_model

        before, again, other = make(), make(), make()
        change(other)
        found = [
            identity_of_model(attar.open_model(one))["model"] for one in (before, again, other)
        ]
        return found[0] == found[1], found[0] == found[2]

    def test_torch(self):
        import torch

        def make():
            torch.manual_seed(0)
            return torch.nn.Sequential(
                torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten()
            )

        def change(module):
            module[1].running_mean[0] = 1e-6

        assert self.changed(make, change) == (True, False)

    def test_onnx(self, tmp_path):
        import onnx

        def make():
            model().to_onnx(tmp_path / "small.onnx")
            return onnx.load(tmp_path / "small.onnx")

        def change(one):
            weights = onnx.numpy_helper.to_array(one.graph.initializer[0]).copy()
            weights.flat[0] += 1e-3
            one.graph.initializer[0].raw_data = weights.tobytes()

        assert self.changed(make, change) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"measures": ["shifts"]}, ArgumentError, "measures are shift, lost, .*, got 'shifts'"),
        ({"measures": []}, ArgumentError, "measures is empty"),
        ({"measures": ["space", Space()]}, ArgumentError, "measures has 'space' twice"),
        ({"measures": [3]}, DTypeError, "measures must be names or measures of attar, got 3"),
        ({"shifts": ["up"]}, ArgumentError, "modes must be .* got \\('up',\\)"),
        ({"seed": -1}, ArgumentError, "seed must be an int of at least 0, got -1"),
        ({"labels": [5] * 70}, ArgumentError, "the model has the classes 0 to 2"),
    ],
)
def test_what_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        attar.audit(model(), images(), **arguments)


def test_a_model_that_is_not_there():
    with pytest.raises(ModelError, match="there is no file"):
        attar.audit("nowhere.onnx")


def _assert_close(found, want):
    """Sums of blocks are rounded elsewhere than sums of all."""
    if isinstance(want, dict):
        assert found.keys() == want.keys()
        for key in want:
            _assert_close(found[key], want[key])
    elif isinstance(want, list):
        assert len(found) == len(want)
        for one, other in zip(found, want, strict=True):
            _assert_close(one, other)
    elif isinstance(want, float):
        assert found == pytest.approx(want, rel=1e-5, abs=1e-7)
    else:
        assert found == want
