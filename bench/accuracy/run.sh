#!/usr/bin/env bash
# Forecasts every trace of an evaluation kit on both tracks, scores them with the kit's own scorer and prints each result
# beside the best baseline of its trace. Needs python3 with pandas and numpy, and a release build.
#
#   bench/accuracy/run.sh [KIT] [OUT]      KIT has traces.json, score.py, baselines.csv and ../traces
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
kit=$(cd "${1:-../shared/data/eval}" && pwd)
out=${2:-target/accuracy}
mkdir -p "$out" && out=$(cd "$out" && pwd)
tidetable=target/release/tidetable
[ -x $tidetable ] || { echo "there is no $tidetable; run 'cargo build --release'" >&2; exit 1; }

python3 -c "
import json
for name, trace in json.load(open('$kit/traces.json')).items():
    calendar = {'US': 'us-fed', 'NYSE': 'nyse', None: '-'}[trace['country']]
    print(name, trace['file'], trace['tz'], trace['step'].replace('min', 'm'), calendar)" |
while read -r name file zone step calendar; do
  market=()
  if [ "$calendar" != - ]; then market=(--calendars "$calendar"); fi
  mkdir -p "$out/$name"
  (cd "$kit" && python3 score.py --list-origins "$name") > "$out/$name/origins"
  for track in day short; do
    horizon=24h
    if [ $track = short ]; then horizon=30m; [ "$step" != 1h ] || horizon=1h; fi
    { echo origin; sed -n "s/^$track,//p" "$out/$name/origins"; } > "$out/$name/origins.$track"
    began=$(date +%s%N)
    $tidetable forecast --input "$kit/../traces/$file" --timezone "$zone" --step "$step" --horizon $horizon \
      --origins "$out/$name/origins.$track" "${market[@]}" --output "$out/$name/tidetable.$track.csv"
    printf '%-22s %-6s %6d ms\n' "$name" $track $((($(date +%s%N) - began) / 1000000))
  done
done
(cd "$kit" && python3 score.py --all "$out" --out "$out/results.csv")
python3 - "$kit" "$out" <<'PYTHON'
import sys
import numpy as np, pandas as pd
kit, out = sys.argv[1:]
ours, baselines = pd.read_csv(f"{out}/results.csv"), pd.read_csv(f"{kit}/baselines.csv")
for track in ("day", "short"):
    mine = ours[ours.track == track].set_index("trace")
    best = baselines[baselines.track == track].groupby("trace").wql.min()
    table = pd.DataFrame({"wql ratio": mine.wql / best} | {c: mine[c] for c in ("wape", "cov90", "cov95", "cov99", "bias")})
    table = table.loc[mine.index]
    print(f"\n{track}: geometric mean {np.exp(np.log(table['wql ratio']).mean()):.3f} of the best baseline of each trace")
    print(table.round(3).to_string())
PYTHON
