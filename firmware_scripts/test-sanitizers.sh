#!/bin/sh
# ./firmware_scripts/test-sanitizers.sh [PYTEST ARGUMENTS...]: the tests of the kernels with AddressSanitizer and UBSan.
# The compiled kernels are built anew in a temporary folder, with every read and write of theirs checked: one past an
# array, one of freed memory, an overflow of a signed number or a shift ends the run with a stack. Nothing is left behind.
# EDGE_KERNELS=v2|v3|v4 chooses the level (v3); PYTHON, a Python that has everything, is used instead of .venv.
set -eu
# shellcheck source=firmware_scripts/common.sh
. "$(dirname -- "$0")/common.sh"

if [ -z "${PYTHON:-}" ]; then
    need gcc:cc
    make_venv .venv cpu,test
    PYTHON=$root/.venv/bin/python
fi
case $(uname -m) in
    x86_64 | amd64) level=${EDGE_KERNELS:-v3} ;;
    *) level=baseline ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# What the tests need of the checkout, without what was compiled in it.
for part in edge kernels models tests pyproject.toml README.md LICENSE; do
    cp -R "$root/$part" "$folder/"
done
find "$folder" \( -name '*.so' -o -name '__pycache__' \) -prune -exec rm -rf {} +

# One level is enough, and a third of the time.
sed "s/for level in levels().items()\]/for level in levels().items() if level[0] == '$level']/" "$root/setup.py" >"$folder/setup.py"

compiler=${CC:-cc}
preload=
for library in libasan.so libubsan.so libstdc++.so.6; do
    # the sanitizers must be there before Python; the C++ library too, for what OpenCV throws to be caught
    path=$("$compiler" -print-file-name="$library")
    [ "$path" != "$library" ] || refuse "$compiler has no $library; try: install the compiler's sanitizer libraries"
    preload=$preload${preload:+:}$path
done

say "building the kernels ($level) with AddressSanitizer and UBSan in $folder"
cd "$folder"
checks=-fsanitize=address,undefined
CFLAGS="$checks -fno-sanitize-recover=all -fno-omit-frame-pointer" LDFLAGS=$checks \
    "$PYTHON" setup.py -q build_ext --inplace >build.log 2>&1 || {
    tail -n 20 build.log >&2
    refuse "the build failed: see above"
}

# Python and NumPy keep memory until the end: that is no leak of ours. Their arena would hide what is written past an array.
export LD_PRELOAD="$preload" PYTHONMALLOC=malloc PYTHONPATH="$folder" EDGE_KERNELS="$level" \
    ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
"$PYTHON" -c 'import kernels; assert kernels.__file__.startswith("'"$folder"'"), kernels.__file__'
"$PYTHON" -m pytest -p no:cacheprovider -q --timeout 900 "${@:-tests/kernels}"
say "no fault in the kernels ($level)"
