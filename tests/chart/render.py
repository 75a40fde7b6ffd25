"""Renders the chart with Helm's own engine and holds each object against Kubernetes' own schema.

Reads from stdin {"chart": FOLDER, "validate": BOOL, "cases": [{"file": VALUES.yaml, "values": {…}}]}, where `values` wins
over the file, and writes a list to stdout with {"refused": WHY} or {"objects": […], "complaints": […], "unknown": [KIND…]} for
each case, and then the last two for each file of "manifests". `unknown` are kinds of other projects, for which Kubernetes has no schema; both are empty unless `validate`. Run by
render.rs; the packages come by tests/run.sh.
"""

import json
import sys

import helm_python as helm
import yaml

# The oldest that Chart.yaml takes, the one with an HPA's tolerance, and the one that KEDA was tried on.
VERSIONS = ["1.30", "1.35", "1.36"]


def merged(under, over):
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return {**under, **{key: merged(under.get(key), value) for key, value in over.items()}}


def held_against_schemas(objects):
    import kubernetes_validate

    complaints, unknown = [], []
    for each in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                unknown.append(each["kind"])
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(part) for part in error.path)
                complaints.append(f"{each['kind']} by Kubernetes {version}: {path}: {error.message}")
    return complaints, unknown


def rendered(chart, case, validate):
    with open(case["file"]) as file:
        values = merged(helm.values_from_yaml(file.read()), case["values"])
    try:
        # As an install does: the defaults beneath the values, the schema, the templates.
        chart.validate_schema(chart.merge_values(values))
        templates = chart.render(values, name="tidetable", namespace="scaling")
    except helm.HelmError as error:
        return {"refused": str(error)}
    templates = {name: text for name, text in templates.items() if name.endswith(".yaml")}
    documents = [document for text in templates.values() for document in yaml.safe_load_all(text)]
    objects = [document for document in documents if document]
    complaints, unknown = held_against_schemas(objects) if validate else ([], [])
    return {"objects": objects, "complaints": complaints, "unknown": unknown}


def main():
    asked = json.load(sys.stdin)
    chart = helm.Chart.load(asked["chart"])
    outcomes = [rendered(chart, case, asked["validate"]) for case in asked["cases"]]
    for name in asked.get("manifests", []):
        with open(name) as file:
            complaints, unknown = held_against_schemas(list(yaml.safe_load_all(file)))
        outcomes.append({"complaints": complaints, "unknown": unknown})
    json.dump(outcomes, sys.stdout)


main()
