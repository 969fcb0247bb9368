"""Prints statements that make a table of every type of values.json in the keyspace, fill a row, and select it."""

import json
import os
import sys

with open(os.environ["DRIVERS_VALUES"], encoding="utf-8") as file:
    parts = json.load(file)
names = [f"v{index}" for index in range(len(parts["values"]))]
columns = ", ".join(f"{name} {value['type']}" for name, value in zip(names, parts["values"]))
literals = ", ".join(value["literal"] for value in parts["values"])
print(f"USE {sys.argv[1]};")
for statement in parts["types"]:
    print(f"{statement};")
print(f"CREATE TABLE every_type (id int PRIMARY KEY, {columns});")
print(f"INSERT INTO every_type (id, {', '.join(names)}) VALUES (1, {literals});")
print(f"SELECT {', '.join(names)} FROM every_type;")
