"""The report: its numbers as text and as JSON, the limits set for them, and its verdict."""

import dataclasses
import json
import re

import numpy as np
import pytest

import attar
from attar import layers
from attar.auditing.headlines import headlines, known_names, percent
from attar.auditing.lost import Lost
from attar.auditing.shift import Shift
from attar.auditing.thresholds import Check, checked, limits
from attar.auditing.verdict import CAUSES, mending, repairable, verdict
from attar.errors import ArgumentError
from tests.audits import images, model, quick


@pytest.fixture(scope="module")
def report():
    return attar.audit(
        model(), images(8), labels=[0, 1, 2, 0, 1, 2, 0, 1], measures=[*quick()[:1], *_ALL]
    )


_ALL = ("lost", "space", "position", "cost")


def invariant():
    """Circular convolution and a global mean: invariant by construction, but for rounding."""
    import torch

    torch.manual_seed(1)
    return attar.open_model(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, 3),
            torch.nn.Softmax(dim=1),
        ),
        size=16,
        name="circular",
    )


class TestText:
    def test_it_is_a_short_table(self, report):
        text = str(report)
        assert text.startswith("Audit of small (attar), 8 of 8 images\n")
        for name, value in report.numbers.items():
            assert re.search(rf"^{name} ", text, re.MULTILINE), name
            assert np.isfinite(value)
        assert len(text.splitlines()) < 25

    def test_in_a_notebook_nothing_of_a_name_is_markup(self):
        found = attar.audit(model("<script>"), images(2), measures=["space"])._repr_html_()
        assert "<script>" not in found
        assert "&lt;script&gt;" in found

    def test_percent_never_says_all_of_what_is_not_all(self):
        assert [percent(x) for x in (0, 0.0004, 0.5, 0.9996, 1)] == [
            "0 %",
            "< 0.1 %",
            "50.0 %",
            "> 99.9 %",
            "100 %",
        ]

    def test_the_numbers_are_those_of_the_worst_kind_of_shift(self):
        found = attar.audit(
            model(), images(40), measures=[Shift(modes=("circular", "zero"), reach=2)]
        )
        both = [mode.classes.consistency.value for mode in found.shift.modes]
        assert both[0] != both[1]
        for modes in (found.shift.modes, found.shift.modes[::-1]):
            section = dataclasses.replace(found.shift, modes=modes)
            changed = dataclasses.replace(found, sections={"shift": section})
            assert changed.numbers["consistency"] == min(both)


class TestVerdict:
    def test_a_model_that_is_invariant(self):
        found = attar.audit(
            invariant(), images(8), measures=[Shift(modes=("circular",), reach=2), "lost"]
        )
        assert found.numbers["consistency"] == 1
        assert [sentence.en for sentence in verdict(found)] == [
            "This model does not notice where the object is.",
            "Moved by up to 2 pixels, 100 % of the images keep their class; 100 % of them keep it "
            "at every shift.",
            "No layer loses anything when the image is moved.",
        ]

    def test_a_stride_is_blamed_and_repair_is_named(self):
        one = attar.Sequential(
            [
                layers.Input((16, 16, 1)),
                layers.MaxPool2D(4, name="condense"),
                layers.GlobalAveragePooling2D(name="mean"),
                layers.Softmax(name="classes"),
            ]
        )
        said = " ".join(
            sentence.en for sentence in verdict(attar.audit(one, images(8), measures=["lost"]))
        )
        assert (
            "Most is lost in the layer condense (MaxPooling2D), by aliasing by its stride." in said
        )
        assert "attar repair" in said

    def test_every_cause_has_words(self):
        from attar.auditing import lost

        assert set(CAUSES) == set(lost._CAUSES)

    def test_aliasing_that_is_not_the_worst_is_mended_as_well(self, report):
        for aliasing, said in ((0.05, False), (0.2, True)):
            causes = dict.fromkeys(CAUSES, 0.0) | {"aliasing": aliasing, "padding": 1 - aliasing}
            section = dataclasses.replace(report.lost, causes=causes)
            changed = dataclasses.replace(report, sections={"lost": section})
            assert repairable(changed) is said
            assert "No other pool mends that" in mending(changed)[0].en

    def test_output_that_names_no_class(self):
        one = attar.Sequential([layers.Input((16, 16, 1)), layers.MaxPool2D(2, name="condense")])
        found = attar.audit(one, images(4), measures=[Shift(modes=("zero",), reach=1)])
        said = verdict(found)[0]
        assert said.en.startswith("The output names no classes. Moved by up to 1 pixels")
        assert f"{found.numbers['cosine']:.3f}" in said.en

    def test_both_languages_say_it(self, report):
        for sentence in verdict(report):
            assert re.search(r"[\u4e00-\u9fff]", sentence.zh)
            assert not re.search(r"[\u4e00-\u9fff]", sentence.en)
            # The same numbers, in one order or another.
            assert sorted(re.findall(r"\d+(?:\.\d+)?", sentence.en)) == sorted(
                re.findall(r"\d+(?:\.\d+)?", sentence.zh)
            )


class TestJson:
    def test_there_and_back(self, report, tmp_path):
        report.save(tmp_path / "report.json")
        again = attar.AuditReport.load(tmp_path / "report.json")
        assert again == report
        assert again.sections == report.sections
        assert again.thumbnails == report.thumbnails

    def test_it_is_strict_and_says_which_version(self, report, tmp_path):
        def refuse(text):
            raise AssertionError(text)

        report.save(tmp_path / "report.json")
        text = (tmp_path / "report.json").read_text("utf-8")
        values = json.loads(text, parse_constant=refuse)
        assert values["schema"] == "attar.audit/1"
        assert list(values) == [
            *("schema", "complete", "model", "images", "how", "numbers", "checks", "sections"),
            "thumbnails",
        ]
        assert list(values["sections"]) == ["shift", *_ALL]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"schema": "attar.audit/2"},
                "the schema is 'attar.audit/2'; accepted is 'attar.audit/1'",
            ),
            ({"schema": None}, "the schema is None"),
            ({"model": None}, "not a whole attar.audit/1 document"),
            ({"sections": {"weather": {}}}, "not a whole .* 'weather'"),
            ({"images": {}}, "not a whole"),
            ({"thumbnails": {"0": "http://example.org/x.jpg"}}, "begins with 'http://example"),
        ],
    )
    def test_other_documents_are_refused(self, report, change, message):
        with pytest.raises(ArgumentError, match=message):
            attar.AuditReport.from_dict(report.as_dict() | change)

    def test_files_that_are_no_reports(self, tmp_path):
        (tmp_path / "a.json").write_text("{")
        (tmp_path / "b.json").write_text("[]")
        for name in "abc":
            with pytest.raises(ArgumentError):
                attar.AuditReport.load(tmp_path / f"{name}.json")

    def test_a_suffix_that_says_nothing(self, report, tmp_path):
        with pytest.raises(ArgumentError, match=r"accepted are \.html and \.json"):
            report.save(tmp_path / "report.pdf")


class TestLimits:
    @pytest.mark.parametrize(
        ("side", "limit", "value", "passed"),
        [
            ("under", 0.9, 0.9, True),
            ("under", 0.9, 0.89, False),
            ("over", 0.05, 0.05, True),
            ("over", 0.05, 0.051, False),
            ("under", 0.9, None, False),
            ("over", 0.05, None, False),
        ],
    )
    def test_on_the_limit_passes_and_what_is_not_known_fails(self, side, limit, value, passed):
        assert Check("x", side, limit, value).passed is passed

    def test_they_are_read(self):
        found = limits(["consistency=0.9", "accuracy-worst = 80%"], ["dead=5e-2"], known_names())
        assert found == (
            Check("consistency", "under", 0.9),
            Check("accuracy_worst", "under", 0.8),
            Check("dead", "over", 0.05),
        )

    @pytest.mark.parametrize(
        "text",
        ["consistency", "consistency=", "consistency=high", "consistency=1e999", "x=1", "=1"],
    )
    def test_what_is_refused(self, text):
        with pytest.raises(ArgumentError, match=r"--fail-under is .* accepted are consistency, "):
            limits([text], [], known_names())

    def test_every_number_of_a_report_can_have_one(self, report):
        assert set(report.numbers) <= set(known_names())
        found = checked(
            limits([], [f"{name}=1e9" for name in report.numbers], known_names()), report.numbers
        )
        assert all(check.passed and check.value is not None for check in found)

    def test_they_stand_in_the_report(self, report, tmp_path):
        with_limits = report.with_checks(
            checked(limits(["consistency=0.9"], ["dead=1"], known_names()), report.numbers)
        )
        text = str(with_limits)
        assert "≤ 1 kept" in text
        with_limits.save(tmp_path / "report.json")
        assert attar.AuditReport.load(tmp_path / "report.json").checks == with_limits.checks


def test_the_sections_are_attributes(report):
    for name in ("shift", *_ALL):
        assert getattr(report, name) is report.sections[name]
    less = dataclasses.replace(report, sections={})
    assert [getattr(less, name) for name in ("shift", *_ALL)] == [None] * 5
    assert headlines(less.sections) == []
    assert str(less)


def test_a_measure_with_settings_of_its_own():
    found = attar.audit(model(), images(2), measures=[Lost(distances=(1,))])
    assert found.how.settings["lost"]["distances"] == [1]
