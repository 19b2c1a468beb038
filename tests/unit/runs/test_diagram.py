"""The picture of the models: everything is in it, and nothing overlaps."""

import itertools
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from wordseq.config.schema import ModelConfig
from wordseq.runs.diagram import _places, diagram, panels

DEEP = ModelConfig(
    *("encoder_decoder", "lstm"), encoder_layers=3, decoder_layers=2, bridge="dense", peek=True, input_feeding=True
)
MODELS = {
    "usual": ModelConfig(),
    "deep": replace(DEEP, residual=True, tie_embeddings=True, embed_dim=512),
    "shared": ModelConfig(share_embeddings=True, tie_embeddings=True, features="separate"),
    "copying": ModelConfig(copy=True, input_feeding=True),
    "features": ModelConfig(features="separate", peek=True),
    "very deep": replace(ModelConfig(), encoder_layers=6, decoder_layers=64, attention="none"),
    "repeat_vector": ModelConfig(kind="repeat_vector", attention="none"),
    "same_length": ModelConfig(kind="same_length", attention="none"),
}
PARAMETERS = {
    "src_embed": 1000,
    "embed": 1000,
    "encoder/layer_0/ahead/gru": 200,
    "encoder/layer_0/back/gru": 34,
    "attention": 77,
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_boxes_do_not_overlap_and_arrows_point_down(model):
    for panel in panels(model, 900, 1100, PARAMETERS):
        places = _places(panel, 0)
        for one, other in itertools.combinations(places.values(), 2):
            assert (
                one.y + one.height < other.y
                or other.y + other.height < one.y
                or one.x + one.width < other.x
                or (other.x + other.width < one.x)
            )
        for arrow in panel.arrows:
            if not arrow.dashed and places[arrow.start].x == places[arrow.end].x:
                between = (places[arrow.start].y, places[arrow.end].y)
                assert between[0] < between[1]
                assert not any(p.x == places[arrow.end].x and between[0] < p.y < between[1] for p in places.values())


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_picture_is_inside_its_frame_and_its_text_escaped(model):
    root = ElementTree.fromstring(diagram(model, 900, 1100, PARAMETERS, "<b> & co"))
    _, _, width, height = map(float, root.get("viewBox").split())
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}title").text == "<b> & co"
    texts = [element.text or "" for element in root.iter(f"{name}text")]
    for expected in ("Encoder", "source ids", "1,000 parameters", "logits [b, "):
        assert any(expected in text for text in texts), expected
    for box in root.iter(f"{name}rect"):
        x, y, wide, high = (float(box.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width + 1
        assert 0 <= y <= y + high <= height + 1


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_source_and_target_have_their_own_number_of_ids(model):
    sizes = {"src_embed": "900 ids to", "tgt_embed": "1,100 ids to", "output": ", 1,100]"}
    found = [box for panel in panels(model, 900, 1100, PARAMETERS) for box in panel.boxes if box.key in sizes]
    assert all(sizes[box.key] in box.details[0] for box in found)
    assert {"src_embed", "output"} <= {box.key for box in found}


def test_parts_are_named_with_their_shapes_and_the_parameters_in_them():
    training = panels(MODELS["deep"], 900, 1100, PARAMETERS)[0]
    boxes = {box.key: box for box in training.boxes}
    assert boxes["encoder_0"].details == ("[b, s, 512]", "234 parameters")
    assert boxes["encoder_1"].details == ("[b, s, 512] + its input",)
    arrows = {(arrow.start, arrow.end) for arrow in training.arrows}
    assert {("encoder_2", "decoder_0"), ("combine", "decoder_0"), ("tgt_embed", "output")} <= arrows
    assert {("bridge", "decoder_0"), ("bridge", "decoder_1"), ("encoder_2", "attention")} <= arrows
    shared = {box.key: box for box in panels(MODELS["shared"], 900, 1100, PARAMETERS)[0].boxes}
    assert [shared[f"{side}_embed"].title for side in ("src", "tgt")] == ["embed", "embed"]
    assert [shared[f"{side}_embed"].details[1] for side in ("src", "tgt")] == ["1,000 parameters"] * 2
    plain = panels(MODELS["usual"], 900, 1100, PARAMETERS)[0]
    assert ("encoder_0", "decoder_0") not in {(arrow.start, arrow.end) for arrow in plain.arrows}
