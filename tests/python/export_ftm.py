"""Loads entities with the real library: python export_ftm.py DIRECTORY

Every value has to be accepted as it is, every entity to be valid, and every reference to point to something of the
right schema.
"""

import json
import pathlib
import sys

from followthemoney import model
from followthemoney.proxy import EntityProxy

entities, values, wrong = {}, 0, []
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.ftm.ndjson")):
    for line in file.read_text(encoding="utf-8").splitlines():
        data = json.loads(line)
        assert data["id"] not in entities, data["id"]
        proxy = EntityProxy.from_dict({"id": data["id"], "schema": data["schema"], "properties": {}}, cleaned=False)
        for name, given in data["properties"].items():
            for value in given:
                proxy.add(name, value)
                values += 1
            kept = proxy.get(name)
            if sorted(kept) != sorted(given):
                wrong.append(f"{data['id']}.{name}: {given} became {kept}")
        entities[proxy.id] = proxy
        try:
            proxy.schema.validate(proxy.to_dict())
        except Exception as refused:
            wrong.append(f"{proxy.id}: {refused.errors if hasattr(refused, 'errors') else refused}")
for proxy in entities.values():
    for prop, value in proxy.itervalues():
        if prop.type.name == "entity":
            target = entities.get(value)
            if target is None:
                wrong.append(f"{proxy.id}.{prop.name}: there is no {value}")
            elif not target.schema.is_a(prop.range):
                wrong.append(f"{proxy.id}.{prop.name}: {value} is a {target.schema.name}, no {prop.range.name}")
for line in wrong:
    print(line)
print(f"{len(entities)} entities, {values} values")
sys.exit(len(wrong) > 0)
