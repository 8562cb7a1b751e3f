"""Recipes: plain data in and out, changes by path, and refusals of one sentence for whatever else comes."""

import inspect
import json
import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from isthmus.errors import BadOption, IncompatibleParts, IsthmusError, UnknownName
from isthmus.models.objective import Objective
from isthmus.models.overrides import parse_pairs, read_value
from isthmus.models.recipe import PARTS, LatentPart, NetPart, PenaltyPart, Recipe, options_of, supplied_to
from isthmus.parts.corruptions import CORRUPTIONS
from isthmus.parts.fidelities import FIDELITIES
from isthmus.parts.latents import LATENTS
from isthmus.parts.likelihoods import LIKELIHOODS
from isthmus.parts.nets import NETS, comparator, critic, data_critic
from isthmus.parts.penalties import PENALTIES
from isthmus.parts.priors import PRIORS
from isthmus.parts.protocols import Prior, Supplied
from isthmus.parts.schedules import Schedule
from isthmus.zoo import RECIPES, recipe

TABLES = {
    "net": NETS,
    "latent": LATENTS,
    "likelihood": LIKELIHOODS,
    "corruption": CORRUPTIONS,
    "fidelity": FIDELITIES,
    "prior": PRIORS,
    "penalties": PENALTIES,
}
MEMBERS = [(family, kind) for family, table in TABLES.items() for kind in table]
SUPPLIED_NAMES = {"shape", "size", "latent", "likelihood", "prior", "critic", "data_critic", "comparator"}
"""What a recipe supplies where parts are joined; every other argument of a part must be an option."""
NETWORKS = {"critic": critic, "data_critic": data_critic, "comparator": comparator}
every_recipe = pytest.mark.parametrize("name", RECIPES)
every_member = pytest.mark.parametrize(("family", "kind"), MEMBERS)


def at(tree: object, path: str) -> object:
    for key in path.split("."):
        tree = tree[key]
    return tree


# plain data


@every_recipe
def test_a_recipe_is_the_same_after_a_way_through_plain_data_and_through_text(name):
    r = recipe(name)
    assert Recipe.from_dict(r.to_dict()) == r
    assert Recipe.from_json(r.to_json()) == r
    assert Recipe.from_json(r.to_json()).to_json() == r.to_json()
    assert json.loads(r.to_json()) == r.to_dict()
    assert r.to_json().endswith("}\n")


@pytest.mark.parametrize(
    "weight",
    [
        Schedule(0.25),
        Schedule(0.0),
        Schedule(2.0, "linear", fraction=0.5),
        Schedule(2.0, "cosine", start=0.5, steps=7),
    ],
)
def test_a_weight_is_the_same_after_a_way_through_text(weight):
    r = recipe("vae").model_copy(update={"penalties": {"kl": PenaltyPart(kind="kl", weight=weight)}})
    back = Recipe.from_json(r.to_json())
    assert back.penalties["kl"].weight == weight
    assert back == r


def test_a_constant_weight_is_written_as_a_number_and_a_schedule_as_a_mapping():
    r = recipe("vae")
    assert r.to_dict()["penalties"] == {"kl": {"kind": "kl", "weight": 1.0, "free_bits": 0.0}}
    rising = r.with_options({"penalties.kl.weight": {"value": 2, "shape": "linear", "fraction": 0.1}})
    assert rising.to_dict()["penalties"]["kl"]["weight"] == {
        "value": 2.0,
        "shape": "linear",
        "start": 0.0,
        "fraction": 0.1,
        "steps": None,
    }


def test_a_recipe_of_the_bare_minimum_is_filled_with_the_defaults_of_its_kinds():
    r = Recipe.from_json('{"net": "conv", "likelihood": {"kind": "gaussian"}}')
    assert r.to_dict()["net"] == {
        "kind": "conv",
        "channels": [16, 8, 8],
        "residual_blocks": 0,
        "kernel_size": 3,
        "downsampling": "stride",
        "upsampling": "upsample",
        "shortcuts": False,
        "activation": "relu",
        "norm": "none",
        "init": "glorot",
    }
    assert r.to_dict()["likelihood"] == {"kind": "gaussian", "scale": 1.0, "from_mean": False}


@every_recipe
def test_a_recipe_and_its_parts_are_frozen(name):
    r = recipe(name)
    with pytest.raises(ValidationError, match="frozen"):
        r.name = "other"
    for part in (r.net, r.latent, r.likelihood, r.training, r.data):
        field = "kind" if hasattr(part, "kind") else next(iter(type(part).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, field, "other")


def test_a_recipe_does_not_share_its_data_with_what_it_gives():
    r = recipe("vae")
    tree = r.to_dict()
    tree["penalties"].clear()
    tree["net"]["widths"].append(3)
    assert r == recipe("vae")


# options follow signatures


@every_member
def test_every_argument_of_a_part_is_an_option_or_is_marked_as_supplied(family, kind):
    factory = TABLES[family][kind]
    target = factory.__init__ if inspect.isclass(factory) else factory
    arguments = {n: p for n, p in inspect.signature(target).parameters.items() if n not in ("self", "args", "kwargs")}
    assert supplied_to(factory) == arguments.keys() & SUPPLIED_NAMES
    fields = options_of(factory).model_fields
    assert set(fields) == arguments.keys() - SUPPLIED_NAMES
    for name, field in fields.items():
        if arguments[name].default is inspect.Parameter.empty:
            assert field.is_required()
        else:
            assert field.default == arguments[name].default


def test_an_argument_that_only_shares_its_name_with_a_supplied_one_stays_an_option():
    class Odd(nn.Module):
        def __init__(self, size: int = 3, *, prior: Supplied[Prior | None] = None) -> None:
            super().__init__()

    assert set(options_of(Odd).model_fields) == {"size"}
    assert supplied_to(Odd) == {"prior"}


@every_member
def test_a_part_of_plain_data_makes_the_part_of_its_kind(family, kind):
    part = PARTS[family].model_validate({"kind": kind})
    latent, likelihood, prior = (
        TABLES[f][k]() for f, k in (("latent", "gaussian"), ("likelihood", "bernoulli"), ("prior", "standard_normal"))
    )
    # the code of a U-Net is a feature map, with one feature for each value
    pyramid = kind == "unet"
    latent, size = (TABLES["latent"]["deterministic"](), None) if pyramid else (latent, 20)
    made = part.make(shape=(1, 8, 8), size=size, latent=latent, likelihood=likelihood, prior=prior, **NETWORKS)
    if inspect.isclass(TABLES[family][kind]):
        assert type(made) is TABLES[family][kind]
    else:
        assert isinstance(made.encoder, nn.Module)
        assert made.code == ((976, 1, 1) if pyramid else (20,))


def test_every_family_of_parts_has_its_table():
    assert {f: p.table for f, p in PARTS.items()} == TABLES


def test_the_options_reach_the_parts():
    r = Recipe.from_dict(
        {
            "net": {"kind": "mlp", "widths": [9, 5], "activation": "tanh"},
            "latent": {"kind": "deterministic", "size": 4, "activation": "sigmoid"},
            "likelihood": {"kind": "gaussian", "scale": 0.3},
        }
    )
    objective = r.build((7,))
    assert isinstance(objective, Objective)
    model = objective.model
    sizes = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(7, 9), (9, 5), (5, 4), (4, 5), (5, 9), (9, 7)]
    assert (model.latent.activation, model.likelihood.scale) == ("sigmoid", 0.3)
    assert (model.shape, model.code_shape) == ((7,), (4,))
    assert dict(objective.schedules) == {}


def test_the_penalties_come_with_their_weights_and_the_prior_of_the_recipe():
    rising = {"kind": "kl", "weight": {"value": 2, "shape": "linear", "fraction": 0.5}}
    objective = Recipe.from_dict(
        {
            "latent": {"kind": "gaussian", "size": 2},
            "penalties": {"kl": rising, "again": {"kind": "kl", "weight": 0.25}},
        }
    ).build((7,))
    assert objective.schedules == {"kl": Schedule(2.0, "linear", fraction=0.5), "again": Schedule(0.25)}
    assert type(objective.model.prior) is PRIORS["standard_normal"]
    assert objective.penalties["kl"].prior is objective.penalties["again"].prior is objective.model.prior


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        ({"size": 3}, (1, 8, 8), 3),
        ({"size": 3, "ratio": 2.0}, (1, 8, 8), 3),
        ({"ratio": 2.0}, (1, 8, 8), 128),
        ({"ratio": 0.5}, (7,), 4),  # 3.5, to the even
        ({"ratio": 0.001}, (7,), 1),
        ({"default_size": 3}, (7,), 3),
        ({"default_size": 4}, (7,), 3),
        ({"default_size": 4}, (1,), 1),
        ({"default_size": 4, "size": 9}, (7,), 9),
        ({"default_size": 4, "ratio": 2.0}, (7,), 14),
        ({}, (7,), None),
    ],
)
def test_the_size_of_a_code_is_given_or_a_share_of_the_values_of_an_example(options, shape, expected):
    assert LatentPart(kind="deterministic", **options).width(shape) == expected


# changes


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"latent.size": "3"}, "latent.size", 3),
        ({"latent.size": 3}, "latent.size", 3),
        (
            {"latent.size": "null", "latent.ratio": "0.5"},
            "latent",
            {"kind": "gaussian", "size": None, "ratio": 0.5, "default_size": 16},
        ),
        ({"net.widths": "512,256"}, "net.widths", [512, 256]),
        ({"net.widths": "[512, 256]"}, "net.widths", [512, 256]),
        ({"net.widths": [7]}, "net.widths", [7]),
        ({"net.widths": (7, 5)}, "net.widths", [7, 5]),
        ({"net.widths": "64"}, "net.widths", [64]),
        ({"net.widths": ""}, "net.widths", []),
        ({"net.widths": "[]"}, "net.widths", []),
        ({"net.activation": "tanh"}, "net.activation", "tanh"),
        ({"net.tied": "true"}, "net.tied", True),
        ({"net.dropout": "1e-1"}, "net.dropout", 0.1),
        ({"name": "mine"}, "name", "mine"),
        ({"training.learning_rate": "5e-4"}, "training.learning_rate", 5e-4),
        ({"training.epochs": "7"}, "training.epochs", 7),
        ({"training.epochs": "null"}, "training.epochs", None),
        ({"training.optimizer": "muon"}, "training.optimizer", "muon"),
        ({"data.shape": "28,28"}, "data.shape", [28, 28]),
        ({"data.scale": "minmax"}, "data.scale", "minmax"),
        ({"penalties.kl.weight": "0.5"}, "penalties.kl.weight", 0.5),
        (
            {"penalties.kl.weight.shape": "linear", "penalties.kl.weight.fraction": "0.5"},
            "penalties.kl.weight",
            {"value": 1.0, "shape": "linear", "start": 0.0, "fraction": 0.5, "steps": None},
        ),
        (
            {"penalties.kl.weight": '{"value": 2, "shape": "cosine", "steps": 3}'},
            "penalties.kl.weight",
            {"value": 2.0, "shape": "cosine", "start": 0.0, "fraction": None, "steps": 3},
        ),
        ({"penalties.kl": "null"}, "penalties", {}),
        ({"penalties.kl": None}, "penalties", {}),
        ({"penalties.kl": "none"}, "penalties", {}),
        (
            {"penalties.other.kind": "kl", "penalties.other.weight": "3"},
            "penalties",
            {
                "kl": {"kind": "kl", "weight": 1.0, "free_bits": 0.0},
                "other": {"kind": "kl", "weight": 3.0, "free_bits": 0.0},
            },
        ),
        ({"likelihood": "gaussian"}, "likelihood", {"kind": "gaussian", "scale": 1.0, "from_mean": False}),
        ({"likelihood.kind": "gaussian", "likelihood.scale": "0.1"}, "likelihood.scale", 0.1),
        ({"likelihood.scale": "0.1", "likelihood.kind": "gaussian"}, "likelihood.scale", 0.1),
        ({"net": "conv", "net.channels": "4,4"}, "net.channels", [4, 4]),
        ({"net.channels": "4,4", "net.kind": "conv"}, "net.channels", [4, 4]),
        (
            {"latent": "deterministic", "penalties.kl": "null"},
            "latent",
            {"kind": "deterministic", "size": None, "ratio": None, "default_size": 16, "activation": "linear"},
        ),
    ],
)
def test_an_option_is_changed_by_its_path_and_all_else_stays(changes, path, expected):
    before, after = recipe("vae").to_dict(), recipe("vae").with_options(changes).to_dict()
    assert at(after, path) == expected
    groups = {p.split(".")[0] for p in changes}
    assert {k: v for k, v in after.items() if k not in groups} == {k: v for k, v in before.items() if k not in groups}


def test_a_change_of_kind_by_the_short_path_comes_before_the_options_of_that_kind():
    changed = recipe("vae").with_options({"net.channels": "4,4", "net": "conv"})
    assert changed.to_dict()["net"]["channels"] == [4, 4]


def test_no_change_is_the_same_recipe_and_the_first_is_left_as_it_was():
    r = recipe("vae")
    assert r.with_options({}) == r
    assert r.with_options({"latent.size": 3}) != r
    assert r == recipe("vae")


def test_a_change_of_kind_keeps_the_options_that_both_kinds_have():
    r = Recipe(
        net=NetPart.model_validate({"kind": "mlp", "activation": "tanh", "norm": "layer", "init": "he", "widths": [9]})
    )
    net = r.with_options({"net.kind": "conv"}).to_dict()["net"]
    assert (net["activation"], net["norm"], net["init"]) == ("tanh", "layer", "he")
    assert (net["kind"], net["channels"]) == ("conv", [16, 8, 8])
    assert "widths" not in net
    latent = recipe("simple").with_options({"latent.kind": "gaussian"}).to_dict()["latent"]
    assert latent == {"kind": "gaussian", "size": None, "ratio": None, "default_size": 32}


def test_a_penalty_may_be_added_where_there_was_none_and_then_removed():
    r = recipe("deep").with_options({"latent.kind": "gaussian", "penalties.kl.weight": "0.5"})
    assert r.penalties["kl"].weight == Schedule(0.5)
    assert list(r.build((7,)).penalties) == ["kl"]
    assert r.with_options({"penalties.kl": "null", "latent.kind": "deterministic"}).penalties == {}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"latent.sise": 3},
            UnknownName,
            r"^There is no option 'latent\.sise'; did you mean 'latent\.size'\? Known: lat",
        ),
        (
            {"laten.size": 3},
            UnknownName,
            r"^There is no option 'laten'; did you mean 'latent\.size'\? Known: corruption, data",
        ),
        ({"training.optimiser": "adam"}, UnknownName, r"^There is no option 'training\.optimiser'; did you mean 'trai"),
        ({"net.channels": "4"}, UnknownName, r"^There is no option 'net\.channels'"),
        ({"": 1}, UnknownName, r"^There is no option ''\. Known: "),
        ({"..": 1}, UnknownName, r"^There is no option ''\. Known: "),
        ({"latent.": 1}, UnknownName, r"^There is no option 'latent\.'; did you mean 'latent\.size'\?"),
        (
            {"latent.kind": "gausian"},
            UnknownName,
            r"^There is no latent of kind 'gausian'; did you mean 'gaussian'\? K",
        ),
        ({"corruption": "identty"}, UnknownName, r"^There is no corruption of kind 'identty'; did you mean 'identity'"),
        ({"prior.kind": "x"}, UnknownName, r"^There is no prior of kind 'x'\. Known: mixture, stand"),
        ({"latent.kind": None}, UnknownName, r"^There is no latent of kind 'None'"),
        ({"penalties.zz.weight": "2"}, UnknownName, r"^There is no penalty of kind 'zz'\. Known: adversarial, ca"),
        ({"penalties.zz": "2"}, UnknownName, r"^There is no option 'penalties\.zz'; did you mean 'penalties\.kl'"),
        ({"penalties.kl.weight.zz": 1}, UnknownName, r"^There is no option 'penalties\.kl\.weight\.zz'; did you mean "),
        (
            {"latent.size": "x"},
            BadOption,
            r"^latent\.size cannot be 'x': it should be a valid integer, unable to parse",
        ),
        (
            {"latent.size": "1.5"},
            BadOption,
            r"^latent\.size cannot be 1\.5: it should be a valid integer, got a number",
        ),
        ({"latent.size": "0"}, BadOption, r"^latent\.size cannot be 0: it should be greater than or equal to 1\.$"),
        ({"latent.ratio": "0"}, BadOption, r"^latent\.ratio cannot be 0: it should be greater than 0\.$"),
        ({"net.widths": "a,b"}, BadOption, r"^net\.widths cannot be 'a,b': it should be a valid integer"),
        ({"net.tied": "maybe"}, BadOption, r"^net\.tied cannot be 'maybe': it should be a valid boolean"),
        ({"net.dropout": "NaN"}, BadOption, r"^net\.dropout cannot be nan: it should be a finite number\.$"),
        ({"name": "a b"}, BadOption, r"^name cannot be 'a b': String should match pattern "),
        (
            {"training.learning_rate": "-1"},
            BadOption,
            r"^training\.learning_rate cannot be -1: it should be greater than 0\.$",
        ),
        (
            {"training.batch_size": "0"},
            BadOption,
            r"^training\.batch_size cannot be 0: it should be greater than or equal to 1\.$",
        ),
        (
            {"training.optimizer": "adm"},
            BadOption,
            r"^training\.optimizer cannot be 'adm': it should be 'adam', 'adamw",
        ),
        ({"data.validation": "1"}, BadOption, r"^data\.validation cannot be 1: it should be less than 1\.$"),
        ({"training": "3"}, BadOption, r"^training cannot be 3: it should be a valid dictionary"),
        ({"penalties": "kl"}, BadOption, r"^penalties cannot be 'kl': it should be a valid dictionary\.$"),
        ({"latent.size.x": 1}, BadOption, r"^latent\.size is None and has no option 'x'\.$"),
        ({"name.x": 1}, BadOption, r"^name is 'vae' and has no option 'x'\.$"),
        ({"net.kind.x": 1}, BadOption, r"^net\.kind is 'mlp' and has no option 'x'\.$"),
        ({"penalties.kl.weight.value.x": 1}, BadOption, r"^penalties\.kl\.weight\.value is 1\.0 and has no option 'x"),
        ({"penalties.kl.weight": "lots"}, BadOption, r"^penalties\.kl\.weight cannot be 'lots': it should be a dictio"),
        ({"penalties.kl.weight.shape": "linear"}, BadOption, r"^A schedule of shape 'linear' was given fraction=None "),
        ({"penalties.kl.weight": "Infinity"}, BadOption, r"^A schedule's value must be a finite number, but is inf\.$"),
    ],
)
def test_a_change_without_meaning_is_refused_in_one_sentence(changes, error, message):
    with pytest.raises(error, match=message) as caught:
        recipe("vae").with_options(changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"latent.default_size": "null"},
            BadOption,
            r"^A fully connected net requires a vector code, but latent\.size is not set\. Set lat",
        ),
        (
            {"latent": "deterministic"},
            IncompatibleParts,
            r"^Penalty kl requires a stochastic latent, with a density q\(z\|x\), which latent Determ",
        ),
        (
            {"net.activation": "tahn"},
            BadOption,
            r"^net\.activation cannot be 'tahn'; did you mean 'tanh'\? Allowed: elu",
        ),
        ({"net.dropout": "2"}, BadOption, r"^net\.dropout must be at least 0 and at most 0\.99, but is 2\.$"),
        (
            {"likelihood": "gaussian", "likelihood.scale": "-1"},
            BadOption,
            r"^likelihood\.scale must be above 0 and at most 1e\+06, but is -1\.$",
        ),
        (
            {"penalties.kl.weight": "-1"},
            BadOption,
            r"^The weight of penalty kl must be at least 0, but is -1\.$",
        ),
    ],
)
def test_what_only_the_parts_know_is_refused_when_they_meet(changes, error, message):
    changed = recipe("vae").with_options(changes)
    with pytest.raises(error, match=message):
        changed.build((1, 8, 8))


def test_the_removal_of_a_penalty_that_is_not_there_is_refused():
    with pytest.raises(UnknownName):
        recipe("vae").with_options({"penalties.lk": "null"})


def test_one_number_is_a_shape_of_one_axis():
    assert recipe("vae").with_options({"data.shape": "28"}).data.shape == (28,)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["a.b=1"], {"a.b": "1"}),
        (["a = x=y "], {"a": "x=y"}),
        (["a=1", "b="], {"a": "1", "b": ""}),
        (["a=1", "a=2"], {"a": "2"}),
        ([], {}),
    ],
)
def test_pairs_are_cut_at_the_first_equals_sign(pairs, expected):
    assert parse_pairs(pairs) == expected


@pytest.mark.parametrize("pair", ["a.b", "=3", "  =3", ""])
def test_a_pair_without_a_path_or_a_value_is_refused(pair):
    with pytest.raises(
        BadOption, match=r"^An option must have the form part\.option=value, but is '.*'\. Use latent\.size"
    ):
        parse_pairs([pair])


@pytest.mark.parametrize(
    ("text", "old", "expected"),
    [
        ("3", 1, 3),
        ("3.5", 1, 3.5),
        ("true", False, True),
        ("null", 3, None),
        ("tanh", "relu", "tanh"),
        ("1,2", [3], [1, 2]),
        ("1", [3], [1]),
        ("", [3], []),
        ("null", [3], None),
        ("a,b", "c", "a,b"),
        (7, [3], [7]),
        ([1], [3], [1]),
        (None, [3], None),
        ('{"a": 1}', 1.0, {"a": 1}),
        ("[" * 100_000, 1, "[" * 100_000),
    ],
)
def test_text_is_read_as_json_where_it_is_and_as_a_list_where_one_stood(text, old, expected):
    assert read_value(text, old) == expected


@pytest.mark.parametrize(
    "name",
    [
        "total",
        "my kl",
        *("", "a.b", "reconstruction", "loss", "keys", "type"),
    ],
)
def test_a_penalty_of_any_name_is_built_and_reported_or_refused(name):
    tree = recipe("vae").to_dict() | {"penalties": {name: {"kind": "kl", "weight": 0.5}}}
    try:
        objective = Recipe.from_dict(tree).build((7,))
    except IsthmusError as refusal:
        sentence = str(refusal)
    else:
        loss = objective(torch.rand(3, 7))
        assert len(loss.terms) == 2
        other = next(v for k, v in loss.terms.items() if k != "reconstruction")
        assert loss.total.item() == pytest.approx((loss.terms["reconstruction"] + 0.5 * other).item(), rel=1e-6)
        sentence = "."
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"net.widths": "1000000,1000000"},
        {"latent.size": "1048576", "net.widths": "1048576"},
        {"net.kind": "conv", "net.channels": "60000,60000"},
    ],
)
def test_networks_that_no_machine_holds_are_refused_before_any_memory_is_taken(changes):
    message = r"^The networks would have [\d.]+e\+\d+ weights, but at most 2\.1e\+09 are allowed\. Reduce net\.wi"
    with pytest.raises(BadOption, match=message):
        recipe("vae").with_options(changes).build((1, 8, 8))


def test_truth_is_no_number_and_a_number_may_be_a_word():
    with pytest.raises(BadOption, match=r"^batch_size cannot be true: a number or a string is expected\.$"):
        recipe("vae").with_options({"training.batch_size": "true"})
    assert recipe("vae").with_options({"training.precision": "32"}).training.precision == "32"
    assert recipe("vae").with_options({"data.labels": "7"}).data.labels == "7"


def test_a_number_may_be_a_name():
    assert recipe("vae").with_options({"name": "7"}).name == "7"


# whatever else comes

DEEP = "[" * 100_000
HOSTILE = [
    "",
    " ",
    "null",
    "true",
    "1",
    '"vae"',
    "[]",
    "{",
    "\ud800",
    "\x00",
    DEEP,
    DEEP + "]" * 100_000,
    '{"net": ' + DEEP + "]" * 100_000 + "}",
    '{"net": []}',
    '{"net": {}}',
    '{"net": ""}',
    '{"net": "mpl"}',
    '{"net": {"kind": null}}',
    '{"net": {"kind": 3}}',
    '{"net": {"kind": "mlp", "shape": [7]}}',
    '{"net": {"kind": "mlp", "size": 3}}',
    '{"net": {"kind": "mlp", "self": 3}}',
    '{"net": {"kind": "mlp", "model_config": 3}}',
    '{"net": {"kind": "mlp", "family": "x"}}',
    '{"net": {"kind": "mlp", "__class__": "x"}}',
    '{"net": {"kind": "mlp", "\\ud800": 1}}',
    '{"net": {"kind": "mlp", "widths": "abc"}}',
    '{"net": {"kind": "mlp", "widths": {"a": 1}}}',
    '{"net": {"kind": "mlp", "widths": [1e400]}}',
    '{"net": {"kind": "mlp", "widths": [1.5]}}',
    '{"net": {"kind": "mlp", "widths": [null]}}',
    '{"net": {"kind": "mlp", "widths": [[3]]}}',
    '{"net": {"kind": "mlp", "dropout": NaN}}',
    '{"net": {"kind": "mlp", "dropout": "much"}}',
    '{"net": {"kind": "mlp", "activation": 3}}',
    '{"net": {"kind": "mlp", "tied": 3}}',
    '{"net": {"kind": "mlp"}, "net": {"kind": "nope"}}',
    '{"latent": {"kind": "gaussian", "size": 1e30}}',
    '{"latent": {"kind": "gaussian", "size": -1}}',
    '{"latent": {"kind": "gaussian", "size": "three"}}',
    '{"latent": {"kind": "gaussian", "size": 1048577}}',
    '{"latent": {"kind": "gaussian", "ratio": NaN}}',
    '{"latent": {"kind": "gaussian", "ratio": 1e9}}',
    '{"latent": {"kind": "gaussian", "activation": "relu"}}',
    '{"penalties": []}',
    '{"penalties": "kl"}',
    '{"penalties": {"kl": []}}',
    '{"penalties": {"kl": {"kind": "lk"}}}',
    '{"penalties": {"kl": {"kind": "kl", "prior": 3}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": "x"}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": null}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": true}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": []}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": 1e999}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": {"shape": "linear"}}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": {"value": "x"}}}}',
    '{"penalties": {"kl": {"kind": "kl", "weight": {"value": 1, "shape": "linear", "steps": 0}}}}',
    '{"name": ""}',
    '{"name": "../../etc"}',
    '{"name": "a\\nb"}',
    '{"name": 3}',
    '{"extra": 3}',
    '{"\\u0000": 1}',
    '{"training": 3}',
    '{"training": null}',
    '{"training": {"extra": 3}}',
    '{"training": {"learning_rate": 1e999}}',
    '{"training": {"learning_rate": -1}}',
    '{"training": {"epochs": 0}}',
    '{"training": {"optimizer": "adm"}}',
    '{"data": {"shape": "28"}}',
    '{"data": {"shape": [1.5]}}',
    '{"data": {"patch_size": 3}}',
    '{"data": {"test": 1}}',
    '{"likelihood": {"kind": "gaussian", "scale": "x"}}',
    '{"likelihood": {"kind": "gaussian", "scale": -1e400}}',
    '{"prior": {"kind": "standard_normal", "name": 1}}',
]
DIGITS = "9" * 5000
FALLING = [
    pytest.param('{"net": 3}', id="net: a number"),
    pytest.param('{"net": null}', id="net: null"),
    pytest.param('{"net": true}', id="net: true"),
    pytest.param('{"penalties": {"kl": null}}', id="penalty: null"),
    pytest.param('{"penalties": {"kl": 3}}', id="penalty: a number"),
    pytest.param('{"net": {"kind": ["mlp"]}}', id="kind: a list"),
    pytest.param('{"net": {"kind": {"a": 1}}}', id="kind: a mapping"),
    pytest.param(f'{{"latent": {{"kind": "gaussian", "size": {DIGITS}}}}}', id="size: 5000 digits"),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: ascii(t[:60]))
def test_text_that_is_no_recipe_is_refused_in_one_sentence_and_never_falls(text):
    with pytest.raises(IsthmusError) as caught:
        Recipe.from_json(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("text", FALLING)
def test_text_that_is_no_recipe_is_refused_whatever_stands_in_the_place_of_a_part(text):
    with pytest.raises(IsthmusError, match=r"^[^\n]*\.$"):
        Recipe.from_json(text)


@pytest.mark.parametrize("path", ["latent.size", "penalties.kl.weight"])
def test_a_number_of_very_many_digits_is_refused(path):
    with pytest.raises(IsthmusError):
        recipe("vae").with_options({path: DIGITS})


def test_a_schedule_with_an_unknown_key_is_refused():
    weight = '{"value": 1, "shape": "linear", "steps": 2, "stepz": 5}'
    with pytest.raises(UnknownName, match="stepz"):
        Recipe.from_json(f'{{"penalties": {{"kl": {{"kind": "kl", "weight": {weight}}}}}}}')


@pytest.mark.parametrize("shape", ["[-1]", "[0]", "[]"])
def test_a_shape_of_no_size_is_refused(shape):
    with pytest.raises(BadOption):
        Recipe.from_json(f'{{"data": {{"shape": {shape}}}}}')


def test_a_refusal_stays_short_where_what_came_is_long():
    with pytest.raises(BadOption) as caught:
        recipe("vae").with_options({"latent.size": "x" * 100_000})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"^A recipe must be a JSON object, but is a list\. Use Recipe\.to_json\(\)\.$"),
        ("{", r"^The recipe is not JSON: .*\. Write it with Recipe\.to_json\(\)\.$"),
        (DEEP, r"^The recipe is not JSON: .* Write it with Recipe\.to_json\(\)\.$"),
        (
            '{"extra": 3}',
            r"^There is no option 'extra'; did you mean .* Known: corruption, data, fidelity, latent, likeli",
        ),
        (
            '{"training": {"extra": 3}}',
            r"^There is no option 'training\.extra'; did you mean .* Known: batch_size, checkpoint_interval, compile, ",
        ),
        (
            '{"net": "mpl"}',
            r"^There is no net of kind 'mpl'; did you mean 'mlp'\? Known: conv, dcgan, linear, mlp, spatial, unet, ",
        ),
        (
            '{"net": {"kind": "mlp", "width": [3]}}',
            r"^There is no option of net 'mlp' called 'width'; did you mean 'widths'\? Known: activation, dropout, i",
        ),
        (
            '{"latent": {"kind": "gaussian", "activation": "relu"}}',
            r"^There is no option of latent 'gaussian' called 'activation'.* Known: default_size, ratio, size\.$",
        ),
        (
            '{"prior": {"kind": "standard_normal", "x": 1}}',
            r"^There is no option of prior 'standard_normal' called 'x'\.$",
        ),
    ],
)
def test_a_refusal_says_what_came_and_what_is_known(text, message):
    with pytest.raises(IsthmusError, match=message):
        Recipe.from_json(text)


def test_a_number_is_finite_all_the_way():
    tree = recipe("vae").to_dict()
    tree["training"]["learning_rate"] = math.inf
    with pytest.raises(BadOption, match=r"^training\.learning_rate cannot be inf: it should be a finite number\.$"):
        Recipe.from_dict(tree)
