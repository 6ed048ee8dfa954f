"""Scores the labelled pairs of names with the matchers of nomenklatura, beside our own scores.

    python match_nomenklatura.py OURS.tsv MARGIN

OURS.tsv has a line for each pair: mode, group, label (1 the same), our score, names of A, names of B, schema, and
for each side its country and date, tab-separated; several names are separated by " ; ". Prints a table for each mode
and group. Fails unless, for names alone, our F1 at our threshold is MARGIN above the best of theirs at any threshold,
which flatters them: it is chosen on the pairs themselves. With country and date they are printed only.
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


def measure(scored, threshold):
    right = sum(same and score >= threshold for same, score in scored)
    wrong = sum(not same and score >= threshold for same, score in scored)
    missed = sum(same and score < threshold for same, score in scored)
    precision, recall = right / max(right + wrong, 1), right / max(right + missed, 1)
    return precision, recall, 2 * right / max(2 * right + wrong + missed, 1)


def best(scored):
    thresholds = {score for _, score in scored if score > 0}
    return max(((measure(scored, it)[2], it) for it in thresholds), default=(0.0, 0.0))


def main(path, margin):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    scores = collections.defaultdict(list)
    for number, row in enumerate(rows):
        mode, group, label, ours, left, right, schema, *facts = row
        same = label == "1"
        scores[mode, group, "dateline"].append((same, float(ours)))
        one = entity(f"{number}-a", schema, left, facts[0], facts[1])
        two = entity(f"{number}-b", schema, right, facts[2], facts[3])
        for algorithm in ALGORITHMS:
            found = algorithm.compare(one, two, ScoringConfig.defaults()).score
            scores[mode, group, algorithm.NAME].append((same, found))
    theirs = collections.defaultdict(float)
    for (mode, group, name), scored in sorted(scores.items()):
        threshold = OUR_THRESHOLD if name == "dateline" else THEIR_THRESHOLD
        precision, recall, value = measure(scored, threshold)
        highest, at = best(scored)
        print(
            f"{mode:14} {group:8} {name:16} {threshold:.2f}: P {precision:.2f} R {recall:.2f} F1 {value:.2f}"
            f"   best F1 {highest:.2f} at {at:.2f}"
        )
        if name != "dateline":
            theirs[mode, group] = max(theirs[mode, group], value, highest)
    for group in ("persons", "others"):
        key = "names alone", group
        ours = measure(scores[*key, "dateline"], OUR_THRESHOLD)[2]
        assert ours >= theirs[key] + margin, f"{group}: {ours:.3f} is not {margin} above {theirs[key]:.3f}"


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
