"""Documents made by hand: nothing here comes from a run."""

from __future__ import annotations

import pytest

from stepscope.pipeline import document as d
from stepscope.record.look import Summary

#: What foreign names may hold: markup of each renderer, control and direction marks, and much.
HOSTILE = (
    "</script><b>&amp;",
    "\x1b[31mred\x1b[0m \x07bell \x00nul \x9bcsi",
    "\u202eright to left\u202c \u200bzero\u2028line\u2029paragraph",
    "[bold]x[/bold] [link=https://example.org]y[/link] :smile:",
    "a|b `code` *c* _d_ # e \\ ~~~ ``` <!-- f -->",
    "line\nbreak\r\nand\ttab",
    "e\u0301 训练 \U0001f600",
    "x" * 10_000,
)


def summary(*shape, low=-1.0, high=2.0, mean=0.25, std=0.5, corner=None, **more):
    return Summary(shape=list(shape), dtype="float32", low=low, high=high, mean=mean, std=std, corner=corner, **more)


def stage(layer, depth, names, shapes, *, did="", gradient=None):
    (name, cls), (before, after) = names, shapes
    return d.Stage(
        layer=layer,
        depth=depth,
        name=name,
        cls=cls,
        did=did,
        before=[before],
        after=[after],
        output=summary(*after, low=-0.125, high=0.75, mean=0.5, corner=[[0.5, -0.125, 0.75]]),
        gradient=gradient,
    )


def make_document():
    """A small classifier's first update and three epochs of its training."""
    back = summary(2, 3, low=-0.3, high=0.4, mean=0.03, std=0.04)
    update = d.UpdateTrace(
        number=1,
        kind="step",
        owners=["optimizer"],
        rounds=1,
        loss=1.25,
        order=["batch", "clear", "forward", "loss", "backward", "step"],
        batch=[summary(2, 4, name="images", corner=[[1.0, -1.0, 0.5, 2.0], [0.0, 0.0, 0.0, 0.0]])],
        stages=[
            stage(0, 0, ("Sequential", "Sequential"), ([2, 4], [2, 3]), gradient=back),
            stage(
                1,
                1,
                ("0", "Linear"),
                ([2, 4], [2, 3]),
                did="each of 3 outputs is a weighted sum of 4 inputs",
                gradient=back,
            ),
            stage(
                2,
                1,
                ("1", "ReLU"),
                ([2, 3], [2, 3]),
                did="set 33 % of its inputs to 0 and let the others pass",
                gradient=back,
            ),
            d.Stage(
                layer=3,
                depth=0,
                name="CrossEntropyLoss",
                cls="CrossEntropyLoss",
                before=[[2, 3]],
                after=[[]],
                output=Summary(shape=[], dtype="float32", low=1.25, high=1.25, mean=1.25, std=0.0, corner=1.25),
                gradient=Summary(shape=[], dtype="float32", low=1.0, high=1.0, mean=1.0, std=0.0, corner=1.0),
            ),
        ],
        worked=d.Worked(
            layer="0",
            sample=0,
            unit=2,
            terms=[(0.5, 2.0), (-0.25, 1.0)],
            terms_total=4,
            bias=0.125,
            computed=0.875,
            recorded=0.875,
        ),
        losses=[
            d.LossPart(
                round=0,
                function="cross_entropy",
                value=1.25,
                reduction="mean",
                prediction=summary(2, 3),
                target=Summary(shape=[2], dtype="int64"),
                right=1,
                of=2,
            )
        ],
        graph="6 operations in 3 modules, reaching 2 parameters",
        moved=[
            d.Moved(name="0.weight", shape=[3, 4], gradient_norm=2.0, weight_norm=4.0, update_norm=0.2, ratio=0.05),
            d.Moved(name="0.bias", shape=[3], gradient_norm="nan", weight_norm=0.0, update_norm="inf"),
        ],
        arithmetic=[
            d.Arithmetic(
                parameter="0.weight",
                index=[2, 3],
                optimizer="SGD",
                before=0.5,
                gradient=-2.0,
                after=0.7,
                formula="w_new = w - lr * g",
                lines=["w_new = 0.5 - 0.1 * -2 = 0.7"],
                computed=0.7,
                difference=0.0,
                agrees=True,
            )
        ],
        prediction=d.PredictionTrace(
            sample=0,
            steps=[
                d.PredictionStep(name="images", shape=[4], values=[1.0, -1.0, 0.5, 2.0]),
                d.PredictionStep(name="0 (Linear)", shape=[3], values=[0.5, -0.125, 0.75]),
            ],
            probabilities=[0.35, 0.19, 0.46],
            predicted="class 2 (46.0 %)",
            target="class 0",
            loss=1.05,
            loss_text="-ln(0.35) = 1.05",
            back=[d.PredictionStep(name="0 (Linear)", shape=[3], values=[-0.325, 0.095, 0.23])],
        ),
    )
    return d.Document(
        schema=1,
        title="train.py",
        record="/home/me/.stepscope/runs/train-20260102-030405",
        command="stepscope trace train.py",
        started=1.0,
        versions="stepscope 0.1, torch 2.13, Python 3.11",
        models=["model: Sequential, 15 parameters in 3 modules"],
        optimizers=["optimizer: SGD(lr=0.1) on 2 parameter tensors"],
        updates=6,
        update=update,
        source=[d.Source(file="train.py", line=7, text="loss.backward()", notes=["backward filled 2 gradients"])],
        epochs=[
            d.EpochRow(
                name="1",
                first_update=1,
                last_update=2,
                updates=2,
                loss=1.25,
                known=2,
                accuracy=0.5,
                judged=2,
                evaluation_loss=1.5,
                evaluation_accuracy=0.25,
                observation="the first",
            ),
            d.EpochRow(
                name="2",
                first_update=3,
                last_update=4,
                updates=2,
                loss=1.0,
                known=1,
                accuracy=0.75,
                judged=1,
                evaluation_loss=1.75,
                evaluation_accuracy=0.5,
                observation="training loss fell, validation loss is 16.7 % above its best (1)",
            ),
            d.EpochRow(name="3", first_update=5, last_update=6, updates=2, loss="nan", observation="no loss is finite"),
            d.EpochRow(name="4", first_update=6, last_update=6, updates=1, losses={"optimizer": 0.5}),
        ],
        epochs_are="epoch",
        curves=[
            d.Curve(name="training", points=[(1.0, 1.25), (2.0, 1.5), (3.0, 1.0), (4.0, 0.75), (5.0, "nan")]),
            d.Curve(name="validation", points=[(2.0, 1.5), (4.0, 1.75)]),
        ],
        notes=["2 of 6 updates were looked at closely: 1, 3", "the record has no end: the script was killed"],
    )


@pytest.fixture
def document():
    return make_document()


@pytest.fixture(params=HOSTILE, ids=["html", "control", "direction", "rich", "markdown", "lines", "wide", "long"])
def hostile(request):
    return request.param
