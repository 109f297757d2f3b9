#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` takes no notice of `@pytest.mark.xdist_group`.
# Eight tests of one group are to run on one worker. With pytest 9.1.1 they do; with 9.2.0 they are spread over
# all workers, without an error or a warning, so tests that share a folder or a port run at the same time.
#
# Seen (the workers that ran tests of the one group, and how many each ran):
#   pytest 9.1.1   gw0:8   (or another one, alone)
#   pytest 9.2.0   gw0:2 gw1:2 gw2:2 gw3:2   (the shares vary)
# Until both agree again: hold pytest below 9.2 where groups matter.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir tests
cat > tests/test_group.py <<'PYTHON'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_number(number, worker_id):
    time.sleep(0.2)
    with open(os.environ["SEEN"], "a") as stream:
        stream.write(worker_id + "\n")
PYTHON

workers_with() {
    python3 -m venv "with-$1"
    "with-$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" "pytest-xdist==3.8.0" >&2
    SEEN="$folder/seen-$1" "with-$1/bin/python" -m pytest -q -p no:cacheprovider -n 4 --dist loadgroup tests >&2
    sort "$folder/seen-$1" | uniq -c | awk '{ printf "%s%s:%s", sep, $2, $1; sep = " " }'
}

before=$(workers_with 9.1.1)
after=$(workers_with 9.2.0)
echo "pytest 9.1.1   $before"
echo "pytest 9.2.0   $after"
[ "$(wc -w <<<"$before")" = 1 ] || { echo "changed: pytest 9.1.1 no longer keeps the group together"; exit 1; }
[ "$(wc -w <<<"$after")" -gt 1 ] || { echo "changed: pytest 9.2.0 keeps the group together"; exit 1; }
