#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks fsck.erofs, dump.erofs and erofsfuse 1.8 of Debian 13 aside: erofs-utils.sh
# DIR makes DIR/bin. Debian 12's C library is too old for them, and its erofs-utils
# for blocks of 512 bytes. Needs apt, curl and patchelf.
set -euo pipefail

dir=$(realpath -m "$1")
command -v patchelf >/dev/null || { echo 'patchelf is not there'; exit 1; }
mkdir -p "$dir"
# From the mirror that this machine's apt is set up with.
pool=$(apt-get --print-uris download mount 2>/dev/null | sed -n "s,^'\(.*\)/pool/.*,\1/pool/main,p" | sed 's,/debian-security/,/debian/,') || pool=
[ -n "$pool" ] || { echo 'apt has no pool of Debian'; exit 1; }
for name in e/erofs-utils/erofs-utils_1.8.6-1 e/erofs-utils/erofsfuse_1.8.6-1 f/fuse3/libfuse3-4_3.17.2-3 g/glibc/libc6_2.41-12 libd/libdeflate/libdeflate0_1.23-2; do
  curl -fsSL --retry 3 --max-time 120 -o "$dir/${name##*/}_amd64.deb" "$pool/${name}_amd64.deb" || { echo "the pool of Debian 13 has no $name"; exit 1; }
done
# Nobody else has proven what runs as root here.
(cd "$dir" && sha256sum --quiet -c) <<'END'
81042b8c0c3eb63699aa7d0763dceedc675a747d9f5cfebf914b4160233f411e  erofs-utils_1.8.6-1_amd64.deb
a509d621d385d3bc2c2318a3b3edc4c68d64ada3cb1890595ab36c97bfda9298  erofsfuse_1.8.6-1_amd64.deb
92e2d521ff872755a13aa69dba7b24025a7dc0f0f5aa708c9a86cd3565f570da  libfuse3-4_3.17.2-3_amd64.deb
6cff801097cd0eb2126b60e533f37afdc78456efacdf2bfae62877f00c795d0b  libc6_2.41-12_amd64.deb
5fe37fb79d53f5c91da6ba3ac4c1a8453e1f2b1ff0e0ea45189c5338bbfdbf82  libdeflate0_1.23-2_amd64.deb
END
for deb in "$dir"/*.deb; do dpkg-deb -x "$deb" "$dir/trixie"; done
rm "$dir"/*.deb
# Not by LD_LIBRARY_PATH, which the programs that these run would have as well.
lib=$dir/trixie/usr/lib/x86_64-linux-gnu
mkdir -p "$dir/bin"
for program in fsck.erofs dump.erofs erofsfuse; do
  cp "$dir/trixie/usr/bin/$program" "$dir/bin"
  patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath \
    --set-rpath "$lib:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu" "$dir/bin/$program"
done
"$dir/bin/fsck.erofs" -V | head -n 1
