# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts of this folder need from Debian. Sourced by them.

# To build the programs alone.
# shellcheck disable=SC2034 # used by those who source this
BUILD_PACKAGES=(
	gcc libc6-dev cmake ninja-build pkg-config
	libevent-dev libssl-dev libconfig-dev libcurl4-openssl-dev libisal-dev libzstd-dev
	liblz4-dev libsnappy-dev zlib1g-dev libpcre2-dev libjansson-dev
)

# install_packages PACKAGE...: install what is missing. Fails with one line if that takes root.
install_packages() {
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	local as=()
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null; then
			printf 'not root, no sudo, and these packages are missing: %s\n' \
				"${missing[*]}" >&2
			return 1
		fi
		as=(sudo)
	fi
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
		"${as[@]}" env DEBIAN_FRONTEND=noninteractive \
			apt-get -q install -y --no-install-recommends "${missing[@]}"
}
