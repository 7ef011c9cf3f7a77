#!/usr/bin/env python3
"""Writes src/media/testdata/json_schema.json: schemas, documents as enxuto writes them, and whether Python's jsonschema
says that they keep the schema.      python3 tools/golden_json_schema.py      (pip install jsonschema)

[{"schema": …, "documents": [[TEXT, VALID], …]}, …]
"""
import copy
import itertools
import json
from pathlib import Path

from jsonschema import Draft202012Validator

SCALARS = [None, True, False, 0, 1, -1, 7, 10, 99, 100, 101, -100, 12345, 0.5, -0.25, 2.75, 3.125, 99.999999,
           "", "a", "ab", "abc", "abcd", "é", "日本語", "😀😀😀", 'q"\\\n\t', "red", "green", "true", "12"]


def product(**columns):
    """Objects of all mixes; a column's value ... leaves it out."""
    for values in itertools.product(*columns.values()):
        yield {k: v for k, v in zip(columns, values) if v is not ...}


PERSON = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 3},
                                           "age": {"type": "integer", "minimum": 0, "maximum": 120},
                                           "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2}},
          "required": ["name"]}
TREE = {"$ref": "#/$defs/node", "$defs": {"node": {
    "type": "object", "required": ["value", "children"],
    "properties": {"value": {"type": "integer"},
                   "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}
LIST = {"type": "object", "properties": {"head": {"type": "boolean"}, "tail": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["head", "tail"]}

CASES = [
    *(({"type": kind}, SCALARS) for kind in ("null", "boolean", "integer", "number", "string")),
    ({"type": ["string", "null"], "maxLength": 2, "title": "T", "description": "D"}, SCALARS),
    ({"type": "string", "minLength": 2, "maxLength": 3}, SCALARS),
    ({"enum": ["red", "green", 1, None, {"a": [1, 2.5]}]}, SCALARS + [{"a": [1, 2.5]}, {"a": [1]}]),
    ({"const": 'q"\\\n\t'}, SCALARS),
    ({"type": "string", "enum": ["red", 1, "abc"]}, SCALARS),
    ({"type": "integer", "minimum": -20, "maximum": 105}, SCALARS + list(range(-30, 120, 3))),
    ({"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 100}, SCALARS + [8, 9, 10, 11, 98, 99, 100]),
    ({"type": "integer", "minimum": 95, "maximum": 1203}, [9, 12, 94, 95, 96, 100, 119, 120, 121, 999, 1000, 1203, 1204]),
    ({"type": "integer", "maximum": -7}, [-6, -7, -8, -70, -100, 0, 7]),
    ({"type": "number", "minimum": 0.25, "maximum": 3}, SCALARS + [0.2, 0.25, 0.3, 0.249999, 2.999, 3, 3.0, 3.000001, 0.0]),
    ({"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": 0}, [-1.5, -1.499999, -1, -0.5, -0.0001, 0, 0.0, 1]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
     [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], ["a"], [1.5], 1, [[1]]]),
    ({"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}}, [[], [[]], [[True], []], [True], [[1]]]),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 0}, [[], [None]]),
    ({"type": "object"}, [{}, {"a": 1}, []]),
    (PERSON, list(product(name=["", "abc", "éèê", "abcd", 1, ...], age=[0, 120, 121, -1, ...],
                          tags=[[], ["x"], ["x", "y"], ["z"], ["x", "x", "x"], ...]))),
    ({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}},
     list(product(a=[None, ...], b=[None, 1, ...], c=[None, ...]))),
    ({"type": "object", "properties": {"a": {"type": "null"}, "b/~": {"$ref": "#/properties/a"}}, "required": ["b/~"]},
     list(product(**{"a": [None, ...], "b/~": [None, 1, ...]}))),
    (TREE, [{"value": 1, "children": []}, {"value": 1, "children": [{"value": 2, "children": []}] * 2},
            {"value": 1, "children": [{"value": 2}]}, {"value": 1}, []]),
    (LIST, [{"head": True, "tail": None}, {"head": True, "tail": {"head": False, "tail": None}}, {"head": True}, None]),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}, {"type": "array", "items": {"$ref": "#"}}]},
     SCALARS + [[], [1, "a", [2]], [[["ab"]]], [None]]),
    ({"anyOf": [PERSON, {"type": "object", "properties": {"name": {"const": "longer"}, "id": {"type": "integer"}},
                         "required": ["name", "id"]}]},
     list(product(name=["abc", "longer", "long"], id=[1, ...], age=[3, ...]))),
]


def closed(schema):
    """The schema without additional properties, which are never written."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items() if key not in ("enum", "const")}
    result |= {key: copy.deepcopy(schema[key]) for key in ("enum", "const") if key in schema}
    if schema.get("type") == "object":
        result["additionalProperties"] = False
    return result


def main() -> None:
    cases = []
    for schema, values in CASES:
        validator = Draft202012Validator(closed(schema))
        texts = {json.dumps(value, ensure_ascii=False): value for value in values}
        # Numbers of whole value with a point are integers to JSON Schema; enxuto writes them without.
        documents = [[text, validator.is_valid(value)] for text, value in texts.items()
                     if not (text.endswith(".0") and schema.get("type") == "integer")]
        cases.append({"schema": schema, "documents": documents})
    out = Path(__file__).resolve().parent.parent / "src/media/testdata/json_schema.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
    print(out, out.stat().st_size, "bytes", sum(v for c in cases for _, v in c["documents"]), "valid")


main()
