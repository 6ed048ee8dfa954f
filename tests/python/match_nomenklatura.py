"""Scores the labelled pairs of names with the matchers of nomenklatura, beside our own scores.

    python match_nomenklatura.py OURS.tsv MARGIN

OURS.tsv has a line for each pair: mode, group, label (1 the same), our score, names of A, names of B, schema, and
for each side its country and date, tab-separated; several names are separated by " ; ". Prints a table for each mode
and group, and fails unless our F1 at our own threshold is MARGIN above the best of theirs at theirs.
"""

import collections
import csv
import sys

from followthemoney import model
from nomenklatura.matching import ALGORITHMS
from nomenklatura.matching.types import ScoringConfig

# The default of yente for all algorithms, and ours.
THEIR_THRESHOLD, OUR_THRESHOLD = 0.70, 0.75


def entity(number, schema, names, country, date):
    properties = {"name": names.split(" ; ")}
    if country:
        properties["country"] = [country.lower()]
    if date:
        properties["birthDate" if schema == "Person" else "incorporationDate"] = [date]
    proxy = model.make_entity(schema)
    proxy.id = f"pair-{number}"
    for name, values in properties.items():
        proxy.add(name, values, quiet=True)
    return proxy


def f1(outcomes):
    right = sum(same and match for same, match in outcomes)
    wrong = sum(match and not same for same, match in outcomes)
    missed = sum(same and not match for same, match in outcomes)
    precision, recall = right / max(right + wrong, 1), right / max(right + missed, 1)
    return precision, recall, 2 * right / max(2 * right + wrong + missed, 1)


def main(path, margin):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    scores = collections.defaultdict(list)
    for number, row in enumerate(rows):
        mode, group, label, ours, left, right, schema, *facts = row
        same = label == "1"
        scores[mode, group, "dateline"].append((same, float(ours) >= OUR_THRESHOLD))
        one = entity(f"{number}-a", schema, left, facts[0], facts[1])
        two = entity(f"{number}-b", schema, right, facts[2], facts[3])
        for algorithm in ALGORITHMS:
            found = algorithm.compare(one, two, ScoringConfig.defaults()).score
            scores[mode, group, algorithm.NAME].append((same, found >= THEIR_THRESHOLD))
    best = collections.defaultdict(float)
    for (mode, group, name), outcomes in sorted(scores.items()):
        precision, recall, value = f1(outcomes)
        print(f"{mode:14} {group:8} {name:16} P {precision:.2f} R {recall:.2f} F1 {value:.2f}")
        if name != "dateline":
            best[mode, group] = max(best[mode, group], value)
    for (mode, group), theirs in best.items():
        ours = f1(scores[mode, group, "dateline"])[2]
        assert ours >= theirs + margin, f"{mode}, {group}: {ours:.3f} is not {margin} above {theirs:.3f}"


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
