#!/bin/sh
# A task in POSIX shell. The payload comes on stdin; the last line of stdout that is JSON is the return value.
#
#   [commands]
#   "media.resize" = ["examples/resize.sh"]
set -eu
payload=$(cat)
echo "resizing for run $REPROQ_RUN_ID"
# No JSON tool is needed to take one number out of a payload of one's own task.
width=$(printf '%s' "$payload" | sed -n 's/.*"args":\[\([0-9][0-9]*\)].*/\1/p')
if [ -z "$width" ]; then
    echo '{"type":"BadWidth","message":"args must hold one whole number"}' >&2
    exit 1
fi
printf '{"width":%s,"half":%s}\n' "$width" "$((width / 2))"
