#!/bin/sh
# Installs libqed for C: header, shared and static library, pkg-config file, CMake package and the
# man pages, the command's as well.
#
#     qed-capi/install.sh PREFIX
#
# PREFIX may also come from the environment. DESTDIR is put before every path, for packagers;
# LIBDIR, INCLUDEDIR and MANDIR stand below PREFIX unless they are given. The libraries are built
# first, in the release profile, unless QED_BUILD_DIR names a directory that holds libqed.so and
# libqed.a.
set -eu

if [ $# -eq 1 ]; then
    PREFIX=$1
elif [ $# -ne 0 ] || [ -z "${PREFIX:-}" ]; then
    echo "usage: [DESTDIR=...] $0 PREFIX" >&2
    exit 2
fi
case $PREFIX in
/*) prefix=${PREFIX%/} ;;
*)
    echo "$0: PREFIX is not an absolute path: $PREFIX" >&2
    exit 2
    ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(dirname -- "$here")
cd "$top"
build=${QED_BUILD_DIR:-${CARGO_TARGET_DIR:-$top/target}/release}
destdir=${DESTDIR:-}
libdir=${LIBDIR:-$prefix/lib}
includedir=${INCLUDEDIR:-$prefix/include}
mandir=${MANDIR:-$prefix/share/man}

version=$(sed -n 's/^#define QED_VERSION_STRING "\(.*\)"$/\1/p' "$top/include/qed.h")
major=${version%%.*}
rest=${version#*.}
minor=${rest%%.*}
# The number in the soname that build.rs gives the library.
soversion=0

if [ -z "${QED_BUILD_DIR:-}" ]; then
    "${CARGO:-cargo}" build --locked --quiet --release -p qed-capi
fi
for file in "$build/libqed.so" "$build/libqed.a"; do
    if [ ! -f "$file" ]; then
        echo "$0: $file is missing" >&2
        exit 1
    fi
done

# from_template TEMPLATE PLACE
from_template() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@INCLUDEDIR@|$includedir|g" \
        -e "s|@VERSION@|$version|g" -e "s|@MAJOR@|$major|g" -e "s|@MINOR@|$minor|g" \
        -e "s|@SOVERSION@|$soversion|g" "$here/packaging/$1" >"$2"
    chmod 644 "$2"
}

lib=$destdir$libdir
install -d "$lib/pkgconfig" "$lib/cmake/libqed" "$destdir$includedir" \
    "$destdir$mandir/man1" "$destdir$mandir/man3"
install -m 644 "$top/include/qed.h" "$destdir$includedir/qed.h"
install -m 755 "$build/libqed.so" "$lib/libqed.so.$version"
ln -sf "libqed.so.$version" "$lib/libqed.so.$soversion"
ln -sf "libqed.so.$soversion" "$lib/libqed.so"
install -m 644 "$build/libqed.a" "$lib/libqed.a"
install -m 644 "$top/docs/qed.1" "$destdir$mandir/man1/qed.1"
install -m 644 "$top/docs/libqed.3" "$destdir$mandir/man3/libqed.3"
from_template libqed.pc.in "$lib/pkgconfig/libqed.pc"
from_template libqedConfig.cmake.in "$lib/cmake/libqed/libqedConfig.cmake"
from_template libqedConfigVersion.cmake.in "$lib/cmake/libqed/libqedConfigVersion.cmake"
