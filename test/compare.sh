# SPDX-License-Identifier: Apache-2.0
#
# For the other scripts to source: what tells whether two trees are equal. It
# wants $work, a directory for its files.
# shellcheck shell=bash disable=SC2154

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# listing DIR: every path with what a filesystem knows of it, and the content.
listing() (
  cd "$1" || exit
  # Overlayfs counts no links of a merged directory.
  find . -mindepth 1 -printf '%p %y %m %U:%G %l ' \( -type d -printf '\n' -o -printf '%n %s %T@\n' \) | sort
  find . -mindepth 1 -type d -printf '%p %T@\n' | sort
  find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>/dev/null
  find . -type f -print0 | sort -z | xargs -0 -r sha256sum
)

same() { diff -u <(listing "$1") <(listing "$2") >"$work/diff" || { head -n 40 "$work/diff"; fail "$1 and $2 differ"; }; }

# flatten LAYOUT MANIFEST DIR: what tar makes of the image's layers, one after
# the other, with whiteouts and opaque marks carried out by hand.
flatten() {
  local layout=$1 manifest=$2 dir=$3 blob name
  mkdir -m 755 "$dir"
  for blob in $(jq -r '.layers[].digest' "$layout/blobs/${manifest/:/\/}"); do
    blob=$layout/blobs/${blob/:/\/}
    tar -tzf "$blob" | while read -r name; do
      case ${name##*/} in
        .wh..wh..opq) find "$dir/${name%/*}" -mindepth 1 -delete 2>/dev/null || true ;;
        .wh.*) rm -rf "${dir:?}/${name%.wh.*}${name##*/.wh.}" ;;
      esac
    done
    find "$dir" -type d -printf '%P\n' | sort >"$work/before"
    tar -xzpf "$blob" -C "$dir" --numeric-owner --xattrs --xattrs-include='*' --exclude='.wh.*'
    # A directory that no entry says is made by layerctl at time 0.
    find "$dir" -mindepth 1 -type d -printf '%P\n' | sort >"$work/after"
    tar -tzf "$blob" | sed -e 's,^\./,,' -e 's,/$,,' | sort >"$work/said"
    comm -23 "$work/after" "$work/before" | comm -23 - "$work/said" | while read -r name; do
      touch -d @0 "$dir/$name"
    done
  done
}
