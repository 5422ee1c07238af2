"""Reads the schema that was made of values.yaml and writes it with every object closed whose keys are
the chart's: a map that is empty in values.yaml, one noted additionalProperties, and what is in a list
have keys of Kubernetes or of the user."""

import json
import sys


def close(schema):
    """Close the objects in it."""
    if "items" in schema:
        if schema["items"].get("type") == "object":
            schema["items"] = {"type": "object"}
    elif schema.get("additionalProperties") is True:
        schema.pop("properties", None)
    elif schema.get("properties"):
        schema.setdefault("additionalProperties", False)
        for child in schema["properties"].values():
            close(child)


def main():
    """Filter stdin to stdout."""
    schema = json.load(sys.stdin)
    close(schema)
    # Charts of which this is a part hand their own down.
    schema["properties"].setdefault("global", {"type": "object"})["additionalProperties"] = True
    json.dump(schema, sys.stdout, indent=2, ensure_ascii=False)
    print()


main()
